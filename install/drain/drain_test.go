package drain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/install/node"
)

// cluster is an API server with one node, n, which lets pods go as its budget allows.
type cluster struct {
	mu            sync.Mutex
	pods          []map[string]any
	minor         string
	unschedulable bool
	refuse        map[string]int // evictions that a budget refuses, by pod
	code          int            // of the answer then
	stuck         string         // the pod that does not end
	asked         []string
}

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, r.Method+" "+r.URL.Path)
	answer := func(code int, document any) { w.WriteHeader(code); _ = json.NewEncoder(w).Encode(document) }
	var body map[string]any
	_ = json.NewDecoder(r.Body).Decode(&body)
	switch {
	case r.URL.Path == "/version":
		answer(200, map[string]any{"gitVersion": "v1." + c.minor + ".0"})
	case r.URL.Path == "/api/v1/nodes/n" && r.Method == http.MethodPatch:
		c.unschedulable, _ = body["spec"].(map[string]any)["unschedulable"].(bool)
		fallthrough
	case r.URL.Path == "/api/v1/nodes/n":
		answer(200, map[string]any{"spec": map[string]any{"unschedulable": c.unschedulable}})
	case r.URL.Path == "/api/v1/pods" && r.URL.Query().Get("fieldSelector") == "spec.nodeName=n":
		from := 0
		_, _ = fmt.Sscan(r.URL.Query().Get("continue"), &from)
		list := map[string]any{"items": c.pods[from:]}
		if to := from + 2; to < len(c.pods) { // pages of two
			list = map[string]any{"items": c.pods[from:to], "metadata": map[string]any{"continue": fmt.Sprint(to)}}
		}
		answer(200, list)
	case strings.HasSuffix(r.URL.Path, "/eviction"):
		c.evict(answer, strings.Split(r.URL.Path, "/")[6], body)
	default:
		answer(404, nil)
	}
}

func (c *cluster) evict(answer func(int, any), name string, body map[string]any) {
	uid := body["deleteOptions"].(map[string]any)["preconditions"].(map[string]any)["uid"]
	i := slices.IndexFunc(c.pods, func(p map[string]any) bool { return p["metadata"].(map[string]any)["name"] == name })
	switch {
	case c.refuse[name] > 0:
		c.refuse[name]--
		answer(c.code, map[string]any{"message": "the budget of " + name + " does not allow it"})
	case i < 0:
		answer(404, nil)
	case c.pods[i]["metadata"].(map[string]any)["uid"] != uid:
		answer(409, nil)
	default:
		if name != c.stuck {
			c.pods = slices.Delete(c.pods, i, i+1)
		}
		answer(201, body)
	}
}

// pod is a pod of a controller, with what is changed of it.
func pod(name, kind string, change func(map[string]any)) map[string]any {
	p := map[string]any{
		"metadata": map[string]any{"name": name, "namespace": "d", "uid": "uid-" + name},
		"spec":     map[string]any{}, "status": map[string]any{"phase": "Running"},
	}
	if kind != "" {
		p["metadata"].(map[string]any)["ownerReferences"] = []any{map[string]any{"kind": kind, "controller": true}}
	}
	if change != nil {
		change(p)
	}
	return p
}

func emptyDir(p map[string]any) {
	p["spec"] = map[string]any{"volumes": []any{map[string]any{"hostPath": map[string]any{}}, map[string]any{"emptyDir": map[string]any{}}}}
}

func phase(phase string) func(map[string]any) {
	return func(p map[string]any) { p["status"] = map[string]any{"phase": phase} }
}

func mirror(p map[string]any) {
	p["metadata"].(map[string]any)["annotations"] = map[string]any{"kubernetes.io/config.mirror": "x"}
}

func (c *cluster) start(t *testing.T) *Drain {
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	kubeconfig := fmt.Sprintf(`{current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}], users: [{name: u, user: {token: t}}],
		clusters: [{name: c, cluster: {server: %q}}]}`, server.URL)
	client, err := node.Parse("", []byte(kubeconfig))
	if err != nil {
		t.Fatal(err)
	}
	d := New(client, "n")
	d.Poll, d.Retry = time.Millisecond, time.Millisecond
	return d
}

func (c *cluster) names() (names []string) {
	for _, p := range c.pods {
		names = append(names, p["metadata"].(map[string]any)["name"].(string))
	}
	return names
}

// What starts here again, cannot start elsewhere, or has ended, stays; all else is evicted.
func TestRun(t *testing.T) {
	c := &cluster{minor: "37", pods: []map[string]any{
		pod("web", "ReplicaSet", nil), pod("agent", "DaemonSet", emptyDir), pod("static", "Node", mirror), pod("done", "Job", phase("Succeeded")),
		pod("broken", "", phase("Failed")), pod("db", "StatefulSet", nil), pod("alone", "", nil), pod("cache", "ReplicaSet", emptyDir),
	}, refuse: map[string]int{"db": 3}, code: 429}
	var told []string
	o := Options{GracePeriod: -1, Force: true, DeleteEmptyDir: true, Tell: func(s string) { told = append(told, s) }}
	if err := c.start(t).Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(c.names(), " "); got != "agent static done broken" {
		t.Errorf("left: %s", got)
	}
	const want = "evicting 4 pods from node n|d/db is not evicted yet: the API server answers 429: the budget of db does not allow it"
	if got := strings.Join(told, "|"); got != want {
		t.Errorf("told: %s", got)
	}
}

func TestRefused(t *testing.T) {
	c := &cluster{minor: "37", pods: []map[string]any{pod("web", "ReplicaSet", nil), pod("alone", "", nil), pod("cache", "ReplicaSet", emptyDir)}}
	d := c.start(t)
	for _, tt := range []struct {
		o    Options
		want string
	}{
		{Options{}, "nothing starts these pods elsewhere: d/alone; these pods lose the data of their emptyDir volumes: d/cache"},
		{Options{Force: true}, "these pods lose the data of their emptyDir volumes: d/cache"},
		{Options{DeleteEmptyDir: true}, "nothing starts these pods elsewhere: d/alone"},
	} {
		_, err := d.Check(t.Context(), tt.o)
		var refused *RefusedError
		if !errors.As(err, &refused) || err.Error() != tt.want {
			t.Errorf("%+v: %v", tt.o, err)
		}
	}
	if slices.ContainsFunc(c.asked, func(s string) bool { return strings.HasPrefix(s, "POST") }) {
		t.Errorf("asked: %q", c.asked)
	}
}

// Time runs out for a budget that never allows it, and for a pod that does not end. An API server that is busy is waited for.
func TestTimeout(t *testing.T) {
	for _, tt := range []struct {
		name string
		c    *cluster
		want string
	}{
		{"a budget", &cluster{refuse: map[string]int{"web": 1 << 20}, code: 429}, "d/web: the API server answers 429: the budget of web does not allow it"},
		{"a pod", &cluster{stuck: "web"}, "d/web: it was told to end and is still there"},
		{"a server", &cluster{refuse: map[string]int{"web": 1 << 20}, code: 503}, "d/web: the API server answers 503: the budget of web does not allow it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.c.minor, tt.c.pods = "37", []map[string]any{pod("web", "ReplicaSet", nil)}
			err := tt.c.start(t).Run(t.Context(), Options{Timeout: 100 * time.Millisecond, Tell: func(string) {}})
			var timeout *TimeoutError
			if !errors.As(err, &timeout) || err.Error() != "not all pods went within 100ms: "+tt.want {
				t.Error(err)
			}
		})
	}
}

// An eviction that is forbidden ends the drain, and so does the user.
func TestEnded(t *testing.T) {
	c := &cluster{minor: "37", pods: []map[string]any{pod("web", "ReplicaSet", nil)}, refuse: map[string]int{"web": 1}, code: 403}
	if err := c.start(t).Run(t.Context(), Options{Tell: func(string) {}}); err == nil || !strings.HasPrefix(err.Error(), "evicting d/web: the API server answers 403") {
		t.Error(err)
	}
	c = &cluster{minor: "37", pods: []map[string]any{pod("web", "ReplicaSet", nil)}, stuck: "web"}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.start(t).Run(ctx, Options{Timeout: time.Hour, Tell: func(string) {}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestCordon(t *testing.T) {
	c := &cluster{}
	d := c.start(t)
	for _, want := range []bool{true, false} {
		if err := d.Cordon(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		if got, err := d.Cordoned(t.Context()); got != want || err != nil {
			t.Errorf("cordoned %t, %v; want %t", got, err, want)
		}
	}
}

// policy/v1 is not of API servers before 1.22.
func TestVersionOfEvictions(t *testing.T) {
	for minor, want := range map[string]string{"21": "policy/v1beta1", "22": "policy/v1"} {
		var got string
		c := &cluster{minor: minor}
		d := c.start(t)
		e := evictions{Drain: d, options: Options{GracePeriod: 3}}
		if err := e.post(t.Context(), Pod{}); err == nil { // there is no such pod
			t.Fatal("evicted")
		}
		if got = e.version; got != want {
			t.Errorf("1.%s: %s", minor, got)
		}
	}
}
