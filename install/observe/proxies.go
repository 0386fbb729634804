package observe

import (
	"strings"

	"golang.org/x/net/http/httpproxy"

	"github.com/kubeletctl/kubeletctl/systemd"
)

// maxEnvironment bounds what is read of an environment file, in bytes.
const maxEnvironment = 1 << 20

// Proxies are the variables with proxies that kubelet.service sets with its drop-ins, in upper case: HTTPS_PROXY, NO_PROXY. As in
// systemd, files count more than Environment=. The manager's own variables (DefaultEnvironment=), wildcards and specifiers are not looked
// at; nil where the unit cannot be read.
func (o Observer) Proxies() map[string]string {
	dropIns, err := o.DropIns()
	if err != nil {
		return nil
	}
	var files []*systemd.UnitFile
	if unit, _, err := o.UnitFile(); err == nil && unit != nil {
		files = append(files, unit)
	}
	for _, d := range dropIns {
		files = append(files, d.Unit)
	}
	unit := systemd.Combine(files...)
	found := map[string]string{}
	add := func(variables []systemd.Variable) {
		for _, v := range variables {
			if name := strings.ToUpper(v.Name); strings.HasSuffix(name, "_PROXY") {
				found[name] = v.Value
			}
		}
	}
	add(unit.Variables())
	for _, a := range unit.Values("Service", "EnvironmentFile") {
		file := strings.TrimPrefix(a.Value, "-")
		data, _ := o.Tree.ReadRegular(file, maxEnvironment) // what is not there sets nothing
		variables, _, _ := systemd.ParseEnvironmentFile(file, data)
		add(variables)
	}
	return found
}

// ProxyConfig says which proxy variables lead through.
func ProxyConfig(variables map[string]string) *httpproxy.Config {
	return &httpproxy.Config{HTTPProxy: variables["HTTP_PROXY"], HTTPSProxy: variables["HTTPS_PROXY"], NoProxy: variables["NO_PROXY"]}
}
