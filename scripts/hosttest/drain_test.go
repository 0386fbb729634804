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
	contains(t, h.must("journalctl", "-q", "-u", "kubeletctl-recover.service", "-o", "cat"), `the node is still cordoned: .*systemd tries again every 10s`)
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

// webDeployment are two pods that may run on every node of a cluster, and webBudgetOfOne lets one of them go at a time.
const (
	webDeployment = `{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}},
	"template": {"metadata": {"labels": {"app": "web"}}, "spec": {"hostNetwork": true, "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 1,
	"tolerations": [{"operator": "Exists", "key": "node-role.kubernetes.io/control-plane"}], "containers": [{"name": "main", "image": "` + podsImage + `", "imagePullPolicy": "Never"}]}}}}`
	webBudgetOfOne = `{"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"},
	"spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}}`
	// runningPods is a script for jq: the pods that run and are to stay.
	runningPods = `[.items[] | select(.status.phase == "Running" and .metadata.deletionTimestamp == null)]`
)

// A node joins a cluster of kubeadm's without kubeadm. Then the kubelets of both are upgraded, each with a drain, and there are never
// fewer pods than the disruption budget allows.
func TestDrainOverTwoNodes(t *testing.T) {
	if !fullSweep() {
		t.Skip("scripts/sweep drain runs this: it needs a second host")
	}
	dir := realDir(t)
	plane, h := startPair(t, dir)
	h.preparePods()
	plane.must("kubeletctl", append([]string{"install", "--version", "v1.36.3", "--source", plane.source, "--profile", "kubeadm"}, given(t, dir, "v1.36.3")...)...)
	plane.kubeadm("init", "--config", "/root/kubeadm.yaml", "--skip-phases=addon")
	plane.seesReady(plane.Name(), "v1.36.3")

	pin := strings.TrimSpace(plane.must("sh", "-c", "openssl x509 -pubkey -noout -in /etc/kubernetes/pki/ca.crt | openssl pkey -pubin -outform der | sha256sum | cut -d' ' -f1"))
	h.write("/run/token", kubeadmToken)
	h.must("kubeletctl", append([]string{"install", "--version", "v1.36.3", "--source", h.source, "--set", "failCgroupV1=false", "--node-ip", "192.0.2.2"}, given(t, dir, "v1.36.3")...)...)
	contains(t, h.must("kubeletctl", "join", "--server", "https://"+kubeadmAddress+":6443", "--token-file", "/run/token", "--discovery-token-ca-cert-hash", "sha256:"+pin),
		`(?m)^joined https://`+kubeadmAddress+`:6443: the node `+h.Name()+` is Ready$`)
	plane.seesReady(h.Name(), "v1.36.3")

	const json = "Content-Type: application/json"
	plane.asAdmin("/apis/apps/v1/namespaces/default/deployments", "-H", json, "--data", webDeployment)
	plane.asAdmin("/apis/policy/v1/namespaces/default/poddisruptionbudgets", "-H", json, "--data", webBudgetOfOne)
	count := append([]string{"-c", `while :; do sh "$@" | jq '` + runningPods + ` | length'; sleep 0.2; done >>/run/counts`, "sh"}, plane.adminCurl("/api/v1/namespaces/default/pods?labelSelector=app%3Dweb")...)
	of := func(node string) string {
		t.Helper()
		plane.write("/run/pods.json", plane.asAdmin("/api/v1/namespaces/default/pods?labelSelector=app%3Dweb"))
		return strings.TrimSpace(plane.must("jq", runningPods+` | map(select(.spec.nodeName == "`+node+`")) | length`, "/run/pods.json"))
	}
	plane.within(time.Minute, "two pods run", func() bool {
		return of(plane.Name()) == "2" || of(h.Name()) == "2" || of(plane.Name()) == "1" && of(h.Name()) == "1"
	})
	plane.must("systemd-run", append([]string{"--quiet", "--unit=counter", "sh"}, count...)...)

	for _, node := range []*host{plane, h} {
		t.Log(node.must("kubeletctl", append([]string{"upgrade", "--version", "v1.37.2", "--drain"}, given(t, dir, "v1.37.2")...)...))
		plane.seesReady(node.Name(), "v1.37.2")
		if n := of(node.Name()); n != "0" {
			t.Errorf("%s pods are on the node that was drained", n)
		}
		if strings.Contains(plane.asAdmin("/api/v1/nodes/"+node.Name()), `"unschedulable": true`) {
			t.Errorf("%s is cordoned", node.Name())
		}
		node.status(0)
	}
	plane.must("systemctl", "stop", "counter")
	counts := strings.Fields(plane.must("sh", "-c", "sort -n /run/counts | uniq -c"))
	t.Logf("verdict: two nodes: pods that ran, and how often that was seen (times, pods): %q", counts)
	if len(counts) < 2 || counts[1] == "0" {
		t.Errorf("fewer pods ran than the budget allows: %q", counts)
	}
}
