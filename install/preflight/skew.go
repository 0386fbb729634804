package preflight

import (
	"fmt"

	"github.com/kubeletctl/kubeletctl/release"
)

// CheckSkew holds a kubelet against an API server of a minor release (https://kubernetes.io/releases/version-skew-policy/): it
// may not be newer, and is not supported when it is too old. server is the API server in words. back reports that the kubelet
// that is installed is newer still; then there is no reason to refuse this one.
func CheckSkew(kubelet release.Version, minor int, server string, back bool) *Problem {
	supported := 3
	if kubelet.Minor() < 25 {
		supported = 2
	}
	p := &Problem{ID: Skew, Severity: Warning, Hint: "upgrade the control plane first"}
	switch older := minor - kubelet.Minor(); {
	case older < 0:
		p.Message = fmt.Sprintf("kubelet %s is newer than %s", kubelet, server)
		if !back {
			p.Severity = Failure
		}
	case older > supported:
		p.Message = fmt.Sprintf("kubelet %s is too old for %s: it may be up to %d minor releases older", kubelet, server, supported)
		p.Hint = "choose a newer release"
	default:
		return nil
	}
	return p
}
