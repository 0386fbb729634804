package preflight

import (
	"fmt"
	"net/url"
	"time"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/observe"
	"github.com/kubeletctl/kubeletctl/install/preflight/facts"
)

// mostAhead is how far the clocks of a node and of its API server may be apart: certificates are valid from five minutes before
// they are made (kubernetes, pkg/controller/certificates/signer), and Leases are renewed every ten seconds.
const mostAhead = time.Minute

func checkClock(_ Kubelet, f *facts.Facts) *Problem {
	if !f.Clock.Known || f.Clock.Synchronized {
		return nil
	}
	return problem(Clock, Info, "nothing synchronizes the clock of this host", "certificates are valid by the clock",
		"timedatectl set-ntp true")
}

func checkClockOfServer(_ Kubelet, f *facts.Facts) *Problem {
	ahead, words := f.API.Ahead, "ahead of"
	if ahead < 0 {
		ahead, words = -ahead, "behind"
	}
	if ahead <= mostAhead {
		return nil
	}
	return problem(Clock, Warning, fmt.Sprintf("the clock of this host is %s %s that of the API server", ahead, words),
		"certificates are valid by the clock", "timedatectl set-ntp true")
}

func checkAPIServer(k Kubelet, f *facts.Facts) *Problem {
	if f.API.Err == nil {
		return nil
	}
	remedy := "see " + k.Kubeconfig()
	if f.API.URL != "" {
		remedy = "curl -k " + f.API.URL + "/version shows whether it can be reached"
	}
	return problem(APIServer, Warning,
		fmt.Sprintf("the API server could not be asked whether kubelet %s fits it: %v", k.Version, f.API.Err), "", remedy)
}

func checkSkew(k Kubelet, f *facts.Facts) *Problem {
	if !f.API.Asked || f.API.Err != nil {
		return nil
	}
	return CheckSkew(k.Version, f.API.Minor, "the API server, which is "+f.API.Version, k.Back)
}

// checkProxy looks whether kubelet would ask its API server through a proxy.
func checkProxy(k Kubelet, f *facts.Facts) *Problem {
	settings := observe.ProxyConfig(f.Proxy)
	server, err := url.Parse(f.API.URL)
	if settings.HTTPSProxy == "" && settings.HTTPProxy == "" || err != nil || k.Standalone {
		return nil
	}
	const remedy = "add it to NO_PROXY in the drop-in of kubelet.service, with the networks of pods and services"
	if f.API.URL == "" {
		if settings.NoProxy != "" {
			return nil
		}
		return problem(Proxy, Warning, "kubelet.service has a proxy and no NO_PROXY",
			"kubelet would ask its API server through the proxy", "set NO_PROXY in the drop-in of kubelet.service")
	}
	if through, err := settings.ProxyFunc()(server); err != nil || through == nil {
		return nil
	}
	return problem(Proxy, Warning, "kubelet.service has a proxy, and NO_PROXY does not name "+server.Hostname(),
		"kubelet would ask its API server through the proxy", remedy)
}

func checkClusterDNS(k Kubelet, _ *facts.Facts) *Problem {
	if _, elsewhere := k.Arg("config-dir"); k.Kubeadm || k.Standalone || k.Fields["clusterDNS"] != nil || elsewhere {
		return nil
	}
	return problem(ClusterDNS, Info, "pods use the node's DNS servers and do not find the services of the cluster", "",
		"--set 'clusterDNS=[10.96.0.10]' --set clusterDomain=cluster.local, as the cluster has them")
}

func checkClientCA(k Kubelet, _ *facts.Facts) *Problem {
	if !k.Hardened || k.Standalone || k.setting("", "authentication.x509.clientCAFile") != "" {
		return nil
	}
	return problem(ClientCA, Info,
		"no client certificate is accepted, and most API servers come with one for logs, exec and port-forward", "",
		"--set authentication.x509.clientCAFile=/etc/kubernetes/pki/ca.crt, or where the cluster's CA is")
}

func checkServingCert(k Kubelet, _ *facts.Facts) *Problem {
	if !k.Hardened || k.Standalone || k.Fields["tlsCertFile"] != nil || k.Fields["serverTLSBootstrap"] == true {
		return nil
	}
	return problem(ServingCert, Info, "kubelet signs its own serving certificate, which nobody can verify", "",
		"--set serverTLSBootstrap=true, once something approves kubelet-serving requests; or tlsCertFile and tlsPrivateKeyFile")
}

// checkTables speaks of a release that is not out yet, or newer than this program (kubeadm#3229).
func checkTables(k Kubelet, _ *facts.Facts) *Problem {
	if k.minor() <= config.Newest {
		return nil
	}
	return problem(Foresight, Info,
		fmt.Sprintf("kubelet %s is newer than what this kubeletctl knows, which ends with %s", k.minor(), config.Newest),
		fmt.Sprintf("what is known to come is checked: CRI RuntimeConfig is required from %s on", firstNeedingDriver), "use a newer kubeletctl when there is one")
}
