package config

import (
	"errors"
	"fmt"
	"net"
	"strings"
)

// refuses knows what kubeletctl, or a kubelet of this release, would not take
// although name exists and value has the right type.
func (r *renderer) refuses(name, value string, parsed any) error {
	switch name {
	case "config":
		return errors.New("kubeletctl renders that file; use --config-file to start from one")
	case "help", "version":
		return fmt.Errorf("with --%s kubelet prints and exits", name)
	case "kubeconfig", "bootstrap-kubeconfig":
		if r.in.Standalone {
			return errors.New("a standalone kubelet has no API server to talk to; drop this or --standalone")
		}
	}
	return kubeletRefuses(r.minor, name, value, parsed)
}

// kubeletRefuses knows the values that end a kubelet of m at start. Accepted by
// the flag parser is not the same as accepted.
func kubeletRefuses(m Minor, name, value string, parsed any) error {
	switch name {
	case "config-dir":
		if m < 30 {
			return fmt.Errorf("before 1.30 kubelet exits with it, unless KUBELET_CONFIG_DROPIN_DIR_ALPHA is in its environment; this is %s", m)
		}
	case "container-runtime":
		if m >= 24 && value != "remote" {
			return fmt.Errorf("%q was removed in 1.24, which speaks only CRI: use containerd or CRI-O and --container-runtime-endpoint", value)
		}
	case "container-runtime-endpoint":
		if m >= 26 && value == "" {
			return errors.New("since 1.26 kubelet exits when it is empty")
		}
	case "runonce":
		if m >= 32 && parsed == true {
			return errors.New("run-once mode was removed in 1.32")
		}
	case "node-ip":
		return refusesNodeIP(m, value)
	}
	return nil
}

// halfPair finds the flag that m takes only together with another one, which is missing.
func halfPair[V any](m Minor, flags map[string]V) (given, missing string, found bool) {
	const file, dir = "image-credential-provider-config", "image-credential-provider-bin-dir"
	_, hasFile := flags[file]
	_, hasDir := flags[dir]
	switch {
	case hasFile == hasDir, m < 24: // before 1.24, a gate that is off hides both
		return "", "", false
	case hasFile:
		return file, dir, true
	}
	return dir, file, true
}

func missesPartner(missing string) string { return "needs --" + missing + " as well" }

// refusesNodeIP is stricter than the kubelet in one thing: that one overlooks
// what is no address, and then picks an address by itself.
func refusesNodeIP(m Minor, value string) error {
	if value == "" {
		return nil
	}
	texts := strings.Split(value, ",")
	if len(texts) > 1 && m < 20 {
		return fmt.Errorf("takes two addresses from 1.20 on, this is %s", m)
	}
	families, unspecified := map[bool]bool{}, false
	for _, text := range texts {
		ip := net.ParseIP(strings.TrimSpace(text))
		if ip == nil {
			return fmt.Errorf("wanted an IP address, got %q", text)
		}
		families[ip.To4() != nil] = true
		unspecified = unspecified || ip.IsUnspecified()
	}
	if len(texts) > 1 && (len(texts) != 2 || len(families) != 2 || unspecified) {
		return fmt.Errorf("wanted one address, or one IPv4 and one IPv6 address, got %q", value)
	}
	return nil
}
