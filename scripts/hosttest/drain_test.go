package hosttest

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// webSet are two pods on the node of the name NODE, which a controller starts again where they are gone.
const webSet = `{"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web"}, "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}},
	"template": {"metadata": {"labels": {"app": "web"}}, "spec": {"nodeName": "NODE", "hostNetwork": true, "automountServiceAccountToken": false,
	"terminationGracePeriodSeconds": 1, "containers": [{"name": "main", "image": "` + podsImage + `", "imagePullPolicy": "Never"}]}}}}`

// webBudget allows none of them to go.
const webBudget = `{"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"},
	"spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}}}`

// create makes an object as an administrator.
func (h *host) create(path, document string) {
	h.t.Helper()
	h.admin(path, "-H", "Content-Type: application/json", "--data", document)
}

// webPods are the pods of webSet that run, by their UIDs.
func (h *host) webPods() (running []string) {
	h.t.Helper()
	var list struct {
		Items []struct {
			Metadata struct{ UID, DeletionTimestamp string }
			Status   struct{ Phase string }
		}
	}
	if err := json.Unmarshal([]byte(h.admin("/api/v1/namespaces/default/pods?labelSelector=app%3Dweb")), &list); err != nil {
		h.t.Fatal(err)
	}
	for _, p := range list.Items {
		if p.Status.Phase == "Running" && p.Metadata.DeletionTimestamp == "" {
			running = append(running, p.Metadata.UID)
		}
	}
	slices.Sort(running)
	return running
}

// waitForWeb waits until both pods run, and returns their UIDs.
func (h *host) waitForWeb() string {
	h.t.Helper()
	var running []string
	h.within(time.Minute, "the pods run", func() bool { running = h.webPods(); return len(running) == 2 })
	return strings.Join(running, " ")
}

func (h *host) cordoned() bool {
	h.t.Helper()
	return strings.Contains(h.admin("/api/v1/nodes/"+h.Name()), `"unschedulable": true`)
}

// A node is drained with the credentials of its kubelet: by itself, and before an upgrade, which uncordons it however it ends.
func TestDrain(t *testing.T) {
	t.Parallel()
	dir := realDir(t)
	h := start(t, dir)
	h.preparePods()
	h.startControlPlane()
	h.must("kubeletctl", append([]string{"install", "--version", "v1.36.3", "--source", h.source, "--set", "failCgroupV1=false", "--node-ip", "192.0.2.1",
		"--bootstrap-kubeconfig", controlPlane + "/bootstrap-kubeconfig"}, given(t, dir, "v1.36.3")...)...)
	h.within(time.Minute, "the node is Ready", func() bool { _, ready := h.clusterNode(h.Name()); return ready == "True" })
	h.create("/apis/apps/v1/namespaces/default/replicasets", webSetOn(h.Name()))
	first := h.waitForWeb()
	h.create("/apis/policy/v1/namespaces/default/poddisruptionbudgets", webBudget)
	h.create("/api/v1/namespaces/default/pods", alonePod(h.Name()))

	// What would be lost is named, and nothing is changed.
	out := h.exits(7, "kubeletctl", "drain").Stderr
	contains(t, out, `nothing starts these pods elsewhere: default/alone`)
	contains(t, out, `--force`)
	if h.cordoned() {
		t.Error("cordoned by a drain that was refused")
	}
	h.admin("/api/v1/namespaces/default/pods/alone?gracePeriodSeconds=0", "-X", "DELETE")

	upgrade := append([]string{"upgrade", "--version", "v1.37.2", "--drain"}, given(t, dir, "v1.37.2")...)
	out = h.exits(1, "kubeletctl", append(upgrade, "--drain-timeout", "8s")...).Stderr
	t.Log(out)
	contains(t, out, `(?s)default/web-\w+ is not evicted yet: the API server answers 429: .*not all pods went within 8s: .*node `+h.Name()+` is uncordoned|(?s)is uncordoned.*not all pods went within 8s`)
	if h.cordoned() || !strings.Contains(h.must("kubeletctl", "status"), "v1.36.3") {
		t.Error("a change whose drain did not succeed has left something")
	}
	if now := h.waitForWeb(); now != first {
		t.Errorf("pods %s, before %s", now, first)
	}

	// One that is killed while it waits for pods is taken back by the next run.
	killedWhileItDrains := func() {
		t.Helper()
		h.must("systemd-run", append([]string{"--quiet", "--collect", "--unit=killed", "kubeletctl"}, upgrade...)...)
		h.within(time.Minute, "the node is cordoned", h.cordoned)
		h.must("systemctl", "kill", "--signal=KILL", "killed.service")
		h.within(time.Minute, "the killed run has ended", func() bool { return h.try("systemctl", "is-active", "killed.service").ExitCode != 0 })
		if !h.cordoned() {
			t.Error("a killed run has uncordoned the node")
		}
	}
	killedWhileItDrains()
	contains(t, h.exits(0, "kubeletctl", "repair").Stderr, `node `+h.Name()+` is uncordoned`)
	if h.cordoned() {
		t.Error("cordoned after the run that came after a killed one")
	}

	// A boot does so, too, and systemd goes on trying while the API server does not answer.
	killedWhileItDrains()
	h.must("systemctl", "kill", "--signal=STOP", "apiserver-test.service")
	h.must("systemctl", "start", "kubeletctl-recover.service")
	contains(t, h.must("journalctl", "-q", "-u", "kubeletctl-recover.service", "-o", "cat"), `the node is still cordoned: .*systemd tries again every 30s`)
	h.must("systemctl", "kill", "--signal=CONT", "apiserver-test.service")
	h.within(2*time.Minute, "the node is uncordoned", func() bool { return !h.cordoned() })
	h.within(time.Minute, "nobody tries any more", func() bool { return h.try("systemctl", "is-active", "kubeletctl-recover.timer").ExitCode != 0 })

	// One that a person has cordoned stays so.
	h.admin("/apis/policy/v1/namespaces/default/poddisruptionbudgets/web", "-X", "DELETE")
	h.admin("/api/v1/nodes/"+h.Name(), "-X", "PATCH", "-H", "Content-Type: application/merge-patch+json", "--data", `{"spec": {"unschedulable": true}}`)
	t.Log(h.must("kubeletctl", upgrade...))
	if !h.cordoned() {
		t.Error("uncordoned what somebody else has cordoned")
	}
	second := h.waitForWeb()
	if second == first {
		t.Error("no pod was evicted")
	}
	contains(t, h.must("kubeletctl", "uncordon"), `is uncordoned`)
	contains(t, h.must("kubeletctl", "uncordon"), `nothing to do`)

	// Also a rollback drains, and the verb by itself does.
	h.must("kubeletctl", "rollback", "--drain")
	if h.cordoned() {
		t.Error("cordoned after a rollback")
	}
	contains(t, h.must("kubeletctl", "drain"), `is drained`)
	contains(t, h.must("kubeletctl", "status"), `(?m)^ *node +\S+ is Ready and cordoned, with kubelet v`)
	if !h.cordoned() {
		t.Error("not cordoned after a drain")
	}
	h.must("kubeletctl", "uncordon")
	h.must("kubeletctl", "uninstall", "--drain")
	if !h.cordoned() {
		t.Error("uncordoned after an uninstall")
	}
	h.must("test", "!", "-e", "/var/lib/kubeletctl")
}

func webSetOn(node string) string { return strings.Replace(webSet, "NODE", node, 1) }

func alonePod(node string) string {
	return `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "alone"}, "spec": {"nodeName": "` + node + `", "hostNetwork": true, "automountServiceAccountToken": false,
	"containers": [{"name": "main", "image": "` + podsImage + `", "imagePullPolicy": "Never"}]}}`
}
