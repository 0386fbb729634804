package cmd

import (
	"bytes"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/preflight"
	"github.com/kubeletctl/kubeletctl/install/status"
)

func TestMetrics(t *testing.T) {
	since := time.Unix(1796031741, 5e8)
	s := &status.Status{
		Installed: true, Version: "v1.37.2", Generation: 3, Trust: "published", State: status.Healthy,
		Running:      status.Running{Version: "a\"b\\c\nd\xff"},
		Service:      status.Service{Restarts: 2, Since: &since},
		Runtime:      &status.Runtime{Name: "containerd", Version: "2.1.0"},
		Node:         &status.Node{Ready: "False"},
		Certificates: []status.Certificate{{Use: "client", Expires: time.Unix(1796900000, 0)}, {Use: "serving", Expires: time.Unix(1896900000, 0)}},
		Drift:        []plan.Drift{{Target: "x"}},
		Problems:     []preflight.Problem{{Severity: preflight.Warning}, {Severity: preflight.Info}},
	}
	const want = `# HELP kubeletctl_kubelet_info The kubelet of this host, always 1.
# TYPE kubeletctl_kubelet_info gauge
kubeletctl_kubelet_info{version="v1.37.2",running="a\"b\\c\nd?",state="healthy",trust="published",generation="3",runtime="containerd",runtime_version="2.1.0"} 1
# HELP kubeletctl_kubelet_installed Whether kubeletctl has installed a kubelet.
# TYPE kubeletctl_kubelet_installed gauge
kubeletctl_kubelet_installed 1
# HELP kubeletctl_kubelet_healthy Whether the state is healthy.
# TYPE kubeletctl_kubelet_healthy gauge
kubeletctl_kubelet_healthy 1
# HELP kubeletctl_kubelet_drift How many things differ from what was installed.
# TYPE kubeletctl_kubelet_drift gauge
kubeletctl_kubelet_drift 1
# HELP kubeletctl_kubelet_restarts_total Restarts by systemd since kubelet was last started by hand.
# TYPE kubeletctl_kubelet_restarts_total counter
kubeletctl_kubelet_restarts_total 2
# HELP kubeletctl_kubelet_problems Problems that kubeletctl status reports.
# TYPE kubeletctl_kubelet_problems gauge
kubeletctl_kubelet_problems{severity="error"} 0
kubeletctl_kubelet_problems{severity="warning"} 1
# HELP kubeletctl_kubelet_start_time_seconds When kubelet became active, as a Unix time.
# TYPE kubeletctl_kubelet_start_time_seconds gauge
kubeletctl_kubelet_start_time_seconds 1796031741.5
# HELP kubeletctl_kubelet_certificate_expiry_timestamp_seconds When a certificate of kubelet ends, as a Unix time.
# TYPE kubeletctl_kubelet_certificate_expiry_timestamp_seconds gauge
kubeletctl_kubelet_certificate_expiry_timestamp_seconds{use="client"} 1796900000
kubeletctl_kubelet_certificate_expiry_timestamp_seconds{use="serving"} 1896900000
# HELP kubeletctl_node_ready Whether the API server calls the node Ready.
# TYPE kubeletctl_node_ready gauge
kubeletctl_node_ready 0
`
	var got bytes.Buffer
	printMetrics(&got, s)
	if got.String() != want {
		t.Errorf("%s\nwant\n%s", got.String(), want)
	}
	got.Reset()
	printMetrics(&got, &status.Status{State: status.NotInstalled})
	if bytes.Contains(got.Bytes(), []byte("node_ready")) || !bytes.Contains(got.Bytes(), []byte("\nkubeletctl_kubelet_installed 0\n")) {
		t.Error(got.String())
	}
}
