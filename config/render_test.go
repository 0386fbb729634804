package config

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

type (
	flags = map[string]string
	tree  = map[string]any
)

func TestRender(t *testing.T) {
	tests := []struct {
		name     string
		in       Input
		args     []string       // must be there
		noArgs   []string       // no argument may begin with it
		fields   map[string]any // dotted path -> value; nil: must not be there
		notes    []string       // each must be part of the note at its index; nil: no notes
		warnings []string
		problems []string // each must be part of the problem at its index; nil: no problems
	}{
		{name: "a flag moves to its field",
			in:     Input{Minor: 37, Flags: flags{"max-pods": "200"}},
			fields: tree{"maxPods": int64(200)}, noArgs: []string{"--max-pods"},
			notes: []string{"--max-pods=200 moved: to maxPods"}},
		{name: "underscores are dashes",
			in:     Input{Minor: 37, Flags: flags{"max_pods": "200"}},
			fields: tree{"maxPods": int64(200)}, notes: []string{"--max-pods=200"}},
		{name: "a flag stays a flag where the field is missing",
			in:   Input{Minor: 22, Flags: flags{"register-with-taints": "a=b:NoSchedule"}},
			args: []string{"--register-with-taints=a=b:NoSchedule"}},
		{name: "the same flag moves where the field is there",
			in:     Input{Minor: 23, Flags: flags{"register-with-taints": "a=b:NoSchedule,c:NoExecute"}},
			fields: tree{"registerWithTaints": []any{tree{"key": "a", "value": "b", "effect": "NoSchedule"}, tree{"key": "c", "effect": "NoExecute"}}},
			notes:  []string{"moved"}},
		{name: "node flags stay flags",
			in:   Input{Minor: 37, Flags: flags{"node-ip": "10.0.0.1,fd00::1", "node-labels": "a=b", "hostname-override": "n1", "v": "4", "register-node": "false", "bootstrap-kubeconfig": "/b"}},
			args: []string{"--node-ip=10.0.0.1,fd00::1", "--node-labels=a=b", "--hostname-override=n1", "--v=4", "--register-node=false", "--bootstrap-kubeconfig=/b"}},
		{name: "every type of value",
			in: Input{Minor: 37, Flags: flags{
				"eviction-hard": "memory.available<200Mi,nodefs.available<5%", "feature-gates": "LoggingAlphaOptions=true,NodeSwap=true", "kube-reserved": "cpu=100m,memory=1Gi",
				"cluster-dns": "10.0.0.10,10.0.0.11", "sync-frequency": "30s", "reserved-memory": "0:memory=1Gi,hugepages-2Mi=64Mi;1:memory=2Gi",
				"vmodule": "kubelet=5,gc*=3", "manifest-url-header": "a:b,a:c,d:e", "address": "0.0.0.0", "log-json-info-buffer-size": "64k",
			}},
			fields: tree{
				"evictionHard": tree{"memory.available": "200Mi", "nodefs.available": "5%"}, "featureGates": tree{"LoggingAlphaOptions": true, "NodeSwap": true},
				"kubeReserved": tree{"cpu": "100m", "memory": "1Gi"}, "clusterDNS": []any{"10.0.0.10", "10.0.0.11"}, "syncFrequency": "30s",
				"reservedMemory":     []any{tree{"numaNode": int64(0), "limits": tree{"memory": "1Gi", "hugepages-2Mi": "64Mi"}}, tree{"numaNode": int64(1), "limits": tree{"memory": "2Gi"}}},
				"logging.vmodule":    []any{tree{"filePattern": "kubelet", "verbosity": int64(5)}, tree{"filePattern": "gc*", "verbosity": int64(3)}},
				"staticPodURLHeader": tree{"a": []any{"b", "c"}, "d": []any{"e"}}, "address": "0.0.0.0", "logging.options.json.infoBufferSize": "64k",
			},
			notes: []string{"address", "cluster-dns", "eviction-hard", "feature-gates", "kube-reserved", "log-json", "manifest-url-header=(hidden)", "reserved-memory", "sync", "vmodule"}},
		{name: "flushFrequency is nanoseconds before 1.28",
			in:     Input{Minor: 27, Flags: flags{"log-flush-frequency": "5s"}},
			fields: tree{"logging.flushFrequency": int64(5e9)}, notes: []string{"moved"}},
		{name: "flushFrequency is a duration from 1.28",
			in:     Input{Minor: 28, Flags: flags{"log-flush-frequency": "5s"}},
			fields: tree{"logging.flushFrequency": "5s"}, notes: []string{"moved"}},
		{name: "flushFrequency in words is refused before 1.28",
			in:       Input{Minor: 27, Config: tree{"logging": tree{"flushFrequency": "5s"}}},
			problems: []string{"kubeletConfiguration.logging.flushFrequency: wanted a number of nanoseconds"}},
		{name: "flag values are checked",
			in: Input{Minor: 20, Flags: flags{"max-pods": "many", "node-ip": "host", "register-node": "maybe", "healthz-bind-address": "1.2.3", "sync-frequency": "5", "register-with-taints": "a:No", "feature-gates": "A", "eviction-hard": "memory.available=1", "v": "high", "runtime-cgroups": "a\nb"}},
			problems: []string{`--eviction-hard: wanted SIGNAL<QUANTITY`, `--feature-gates: wanted GATE=true`, `--healthz-bind-address: wanted an IP`, `--max-pods: wanted a whole number`,
				`--node-ip: wanted an IP`, `--register-node: wanted true or false, got "maybe"`, `--register-with-taints: wanted the effect`, "--runtime-cgroups: the value holds a line break", `--sync-frequency: wanted a duration`, `--v: wanted a whole`}},

		{name: "flag and field agree",
			in:     Input{Minor: 37, Flags: flags{"sync-frequency": "1m"}, Config: tree{"syncFrequency": "60s"}},
			fields: tree{"syncFrequency": "1m"}, notes: []string{"moved"}},
		{name: "flag and field contradict",
			in:       Input{Minor: 37, Flags: flags{"cgroup-driver": "cgroupfs"}, Config: tree{"cgroupDriver": "systemd"}},
			problems: []string{`flag --cgroup-driver: --cgroup-driver=cgroupfs contradicts kubeletConfiguration.cgroupDriver, which is the string "systemd"`}},
		{name: "a node flag and its field contradict",
			in:       Input{Minor: 37, Flags: flags{"register-node": "true"}, Config: tree{"registerNode": false}},
			problems: []string{"--register-node=true contradicts kubeletConfiguration.registerNode"}},
		{name: "two flags for one field contradict",
			in:       Input{Minor: 13, Flags: flags{"experimental-fail-swap-on": "true", "fail-swap-on": "false"}},
			problems: []string{"--fail-swap-on=false contradicts --experimental-fail-swap-on=true"}},
		{name: "one flag in two spellings",
			in:       Input{Minor: 37, Flags: flags{"max_pods": "1", "max-pods": "1"}},
			problems: []string{"given twice, as max-pods and as max_pods"}},
		{name: "the file's field beats a default flag",
			in:     Input{Minor: 37, Config: tree{"registerNode": false, "logging": tree{"verbosity": 4}}},
			noArgs: []string{"--register-node", "--v="}, fields: tree{"registerNode": false, "logging.verbosity": int64(4)}},

		{name: "the user's value beats a default",
			in:     Input{Minor: 37, Config: tree{"readOnlyPort": 10255}, Flags: flags{"anonymous-auth": "true", "container-runtime-endpoint": "unix:///run/crio/crio.sock"}},
			fields: tree{"readOnlyPort": int64(10255), "authentication.anonymous.enabled": true},
			args:   []string{"--container-runtime-endpoint=unix:///run/crio/crio.sock"}, notes: []string{"--anonymous-auth=true moved"}},
		{name: "null takes a default back",
			in:     Input{Minor: 37, Config: tree{"cgroupDriver": nil, "authorization": nil}},
			fields: tree{"cgroupDriver": nil, "authorization": nil, "authorization.mode": nil}},
		{name: "too new, and the problem names the table's release", in: Input{Minor: 39, Config: tree{"maxPodz": 1}, Flags: flags{"cgroup-drivr": "x"}},
			problems: []string{"flag --cgroup-drivr: unknown flag in 1.37", "maxPodz: unknown field in 1.37"}},
		{name: "apiVersion and kind are welcome when they are right",
			in:     Input{Minor: 37, Config: tree{"apiVersion": apiVersion, "kind": kind}},
			fields: tree{"apiVersion": apiVersion, "kind": kind}},
		{name: "apiVersion and kind are wrong",
			in:       Input{Minor: 37, Config: tree{"apiVersion": "v1", "kind": "Pod"}},
			problems: []string{`apiVersion: wanted "kubelet.config.k8s.io/v1beta1", got the string "v1"`, `kind: wanted`}},

		{name: "unknown flag",
			in:       Input{Minor: 37, Flags: flags{"cgroup-drivr": "systemd"}},
			problems: []string{"flag --cgroup-drivr: unknown flag in 1.37; did you mean --cgroup-driver?"}},
		{name: "a field given as a flag",
			in:       Input{Minor: 37, Flags: flags{"cgroupDriver": "systemd", "containerLogMaxWorkers": "1"}},
			problems: []string{"did you mean --cgroup-driver?", "it is a field: --set containerLogMaxWorkers=..."}},
		{name: "a flag that never was",
			in:       Input{Minor: 37, Flags: flags{"show-hidden-metrics-for-version": "1.36"}},
			problems: []string{"never registered by kubelet"}},
		{name: "a flag that is not there yet",
			in:       Input{Minor: 20, Flags: flags{"seccomp-default": "true"}},
			problems: []string{"flag --seccomp-default: appears in 1.22, this is 1.20"}},
		{name: "the classic flags are dropped at 1.37",
			in:     Input{Minor: 37, Flags: flags{"container-runtime": "remote", "network-plugin": "cni", "image-pull-progress-deadline": "2m"}},
			noArgs: []string{"--container-runtime=", "--network-plugin", "--image-pull"},
			notes:  []string{"--container-runtime=remote dropped: removed in 1.27", "--image-pull-progress-deadline=2m dropped: removed in 1.24: dockershim only", "--network-plugin=cni dropped: removed in 1.24: dockershim only. CNI is configured"}},
		{name: "harmless retired flags are dropped",
			in: Input{Minor: 37, Flags: flags{"allow-privileged": "true", "cni-bin-dir": "/opt/cni/bin", "docker-endpoint": "unix:///d", "logtostderr": "true", "pod-infra-container-image": "pause:3.9",
				"storage-driver-password": "hunter2", "containerd": "/run/containerd/containerd.sock", "global-housekeeping-interval": "60s", "keep-terminated-pod-volumes": "f", "network-plugin": ""}},
			notes: []string{"allow-privileged", "cni-bin-dir", "containerd=/run", "docker-endpoint", "global-housekeeping", "keep-terminated", "logtostderr", "network-plugin", "pod-infra", "storage-driver-password=(hidden) dropped"}},
		{name: "retired flags that mattered are problems",
			in: Input{Minor: 37, Flags: flags{"allow-privileged": "false", "container-runtime": "docker", "network-plugin": "kubenet", "cloud-config": "/etc/c", "azure-container-registry-config": "/a", "machine-id-file": "/x", "containerd": "/run/k3s/containerd/containerd.sock", "dynamic-config-dir": "/d"}},
			problems: []string{"--allow-privileged: removed in 1.15, and --allow-privileged=false changed what the kubelet does; Dropped", "--azure-container-registry-config: removed in 1.30", "--cloud-config: removed in 1.34",
				"--container-runtime: removed in 1.27", "--containerd: removed in 1.37", "--dynamic-config-dir: removed in 1.24", "--machine-id-file: removed in 1.37", "--network-plugin: removed in 1.24"}},
		{name: "container-runtime=docker at 1.24, which still has the flag",
			in:       Input{Minor: 24, Flags: flags{"container-runtime": "docker"}},
			problems: []string{`"docker" was removed in 1.24`}},
		{name: "container-runtime=docker at 1.23",
			in:   Input{Minor: 23, Flags: flags{"container-runtime": "docker", "network-plugin": "kubenet"}},
			args: []string{"--container-runtime=docker", "--network-plugin=kubenet"}, warnings: []string{"--network-plugin: deprecated since 1.21, will be removed"}},
		{name: "a retired flag goes to its field",
			in:     Input{Minor: 37, Flags: flags{"experimental-fail-swap-on": "false"}},
			fields: tree{"failSwapOn": false}, notes: []string{"--experimental-fail-swap-on=false replaced: to failSwapOn"}},
		{name: "a retired flag goes to its field, which has lost its effect",
			in:     Input{Minor: 37, Flags: flags{"iptables-drop-bit": "15"}},
			fields: tree{"iptablesDropBit": int64(15)}, notes: []string{"replaced"}, warnings: []string{"iptablesDropBit: deprecated since 1.28"}},
		{name: "a retired flag goes to its successor",
			in:   Input{Minor: 23, Flags: flags{"experimental-bootstrap-kubeconfig": "/b"}},
			args: []string{"--bootstrap-kubeconfig=/b"}, notes: []string{"replaced: removed in 1.23: --bootstrap-kubeconfig takes the same value"}},
		{name: "a retired flag contradicts its successor",
			in:       Input{Minor: 23, Flags: flags{"experimental-bootstrap-kubeconfig": "/b", "bootstrap-kubeconfig": "/c"}},
			problems: []string{"contradicts --bootstrap-kubeconfig=/c"}},
		{name: "register-schedulable=false becomes a taint",
			in:     Input{Minor: 34, Flags: flags{"register-schedulable": "false"}},
			fields: tree{"registerWithTaints": []any{tree{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}}}, notes: []string{"replaced"}},
		{name: "register-schedulable=false beside taints is the user's to merge",
			in:       Input{Minor: 34, Flags: flags{"register-schedulable": "false"}, Config: tree{"registerWithTaints": []any{}}},
			problems: []string{"--register-schedulable: removed in 1.34"}},
		{name: "a warning before removal",
			in:   Input{Minor: 36, Flags: flags{"containerd": "/run/c.sock", "max-pods": "5"}},
			args: []string{"--containerd=/run/c.sock"}, notes: []string{"max-pods"}, warnings: []string{"flag --containerd: deprecated since 1.13, will be removed"}},
		{name: "no warning once it is undeprecated",
			in: Input{Minor: 29, Flags: flags{"cloud-provider": "external"}}, args: []string{"--cloud-provider=external"}},
		{name: "no exact equivalent: the flag stays",
			in: Input{Minor: 37, Flags: flags{"maximum-dead-containers": "5"}}, args: []string{"--maximum-dead-containers=5"}, warnings: []string{"maximum-dead-containers"}},

		{name: "--config is ours",
			in:       Input{Minor: 37, Flags: flags{"config": "/etc/k.yaml"}},
			problems: []string{"flag --config: kubeletctl renders that file; use --config-file to start from one"}},
		{name: "--version and --help end the kubelet",
			in: Input{Minor: 37, Flags: flags{"version": "true", "help": "true"}}, problems: []string{"--help kubelet prints and exits", "--version kubelet"}},
		{name: "config-dir needs an environment before 1.30",
			in: Input{Minor: 29, Flags: flags{"config-dir": "/d"}}, problems: []string{"before 1.30"}},
		{name: "config-dir at 1.30",
			in: Input{Minor: 30, Flags: flags{"config-dir": "/d"}}, args: []string{"--config-dir=/d"}},
		{name: "run-once is gone from 1.32",
			in: Input{Minor: 32, Config: tree{"runOnce": true}, Flags: flags{}}, problems: []string{"runOnce: true is refused"}},
		{name: "run-once, the flag",
			in: Input{Minor: 32, Flags: flags{"runonce": "true"}}, problems: []string{"--runonce: run-once mode was removed"}},
		{name: "UnlimitedSwap is refused from 1.30",
			in: Input{Minor: 30, Config: tree{"memorySwap": tree{"swapBehavior": "UnlimitedSwap"}}}, problems: []string{`memorySwap.swapBehavior: "UnlimitedSwap": must be "", LimitedSwap or NoSwap`}},
		{name: "UnlimitedSwap at 1.29",
			in: Input{Minor: 29, Config: tree{"memorySwap": tree{"swapBehavior": "UnlimitedSwap"}, "featureGates": tree{"NodeSwap": true}}}, fields: tree{"memorySwap.swapBehavior": "UnlimitedSwap"}},
		{name: "labels of Kubernetes' own namespaces from 1.16",
			in:       Input{Minor: 16, Flags: flags{"node-labels": "node-role.kubernetes.io/worker=,topology.kubernetes.io/zone=a,x.node.kubernetes.io/y=1,example.com/z=1"}},
			problems: []string{"may not give itself node-role.kubernetes.io/worker; label"}},
		{name: "labels that only look like the allowed ones",
			in:       Input{Minor: 37, Flags: flags{"node-labels": "kubernetes.io/instance-type=a,failure-domain.kubernetes.io/zone=b,kubernetes.io/os=linux,a.k8s.io/b=c"}},
			problems: []string{"may not give itself a.k8s.io/b, failure-domain.kubernetes.io/zone, kubernetes.io/instance-type; label"}},
		{name: "two node addresses of one family", in: Input{Minor: 37, Flags: flags{"node-ip": "10.0.0.1,10.0.0.2"}}, problems: []string{"one IPv4 and one IPv6"}},
		{name: "three node addresses", in: Input{Minor: 37, Flags: flags{"node-ip": "10.0.0.1,fd00::1,fd00::2"}}, problems: []string{"one IPv4 and one IPv6"}},
		{name: "any address in a pair", in: Input{Minor: 37, Flags: flags{"node-ip": "0.0.0.0,fd00::1"}}, problems: []string{"one IPv4 and one IPv6"}},
		{name: "any address alone", in: Input{Minor: 37, Flags: flags{"node-ip": "::"}}, args: []string{"--node-ip=::"}},
		{name: "lists in the wrong form", in: Input{Minor: 37, Flags: flags{"register-with-taints": "a=b=c:NoSchedule", "reserved-memory": "0:cpu=1"}},
			problems: []string{`"b=c": a value has at most 63`, "wanted memory or hugepages-SIZE"}},
		{name: "labels at 1.15",
			in: Input{Minor: 15, Flags: flags{"node-labels": "node-role.kubernetes.io/worker="}}, args: []string{"--node-labels=node-role.kubernetes.io/worker="}},
		{name: "two node addresses before 1.20",
			in: Input{Minor: 19, Flags: flags{"node-ip": "10.0.0.1,fd00::1"}}, problems: []string{"two addresses from 1.20 on"}},
		{name: "an empty endpoint from 1.26",
			in: Input{Minor: 26, Flags: flags{"container-runtime-endpoint": ""}}, problems: []string{"exits when it is empty"}},
		{name: "credential provider flags come in pairs",
			in: Input{Minor: 37, Flags: flags{"image-credential-provider-config": "/c"}}, problems: []string{"needs --image-credential-provider-bin-dir"}},

		{name: "unknown field", in: Input{Minor: 37, Config: tree{"maxPodz": 1}},
			problems: []string{"kubeletConfiguration.maxPodz: unknown field in 1.37; did you mean maxPods?"}},
		{name: "wrong case", in: Input{Minor: 37, Config: tree{"readonlyPort": 0}},
			problems: []string{"did you mean readOnlyPort? (case)"}},
		{name: "a field at the wrong level", in: Input{Minor: 37, Config: tree{"verbosity": 1}},
			problems: []string{"did you mean logging.verbosity?"}},
		{name: "a flag given as a field", in: Input{Minor: 37, Config: tree{"event-qps": 1, "node-ip": "x"}},
			problems: []string{"did you mean eventRecordQPS?", "it is a flag: --node-ip"}},
		{name: "a field that is not there yet", in: Input{Minor: 20, Config: tree{"registerNode": true, "tracing": tree{"endpoint": "x"}}},
			problems: []string{"kubeletConfiguration.registerNode: appears in 1.23, this is 1.20; use the flag --register-node", "kubeletConfiguration.tracing: appears in 1.25"}},
		{name: "a field that is gone", in: Input{Minor: 24, Config: tree{"logging": tree{"sanitization": false}}},
			problems: []string{"kubeletConfiguration.logging.sanitization: removed in 1.24"}},
		{name: "wrong types", in: Input{Minor: 37, Config: tree{
			"address": 1, "authentication": true, "clusterDNS": "10.0.0.10", "evictionHard": tree{"memory.available": 5}, "featureGates": tree{"A": "true"},
			"failSwapOn": "no", "maxPods": 1.5, "oomScoreAdj": int64(1) << 40, "logging": tree{"verbosity": -1}, "reservedMemory": []any{tree{"numaNode": "0", "limits": tree{"memory": "lots"}}},
			"registerWithTaints": []any{tree{"keys": "a"}}, "syncFrequency": 60, "tlsCurvePreferences": []any{"X25519"}}},
			problems: []string{"address: wanted a string, got the number 1; put it in quotes", "authentication: wanted a mapping, got the boolean true", "clusterDNS: wanted a list, each a string, got the string",
				`evictionHard.memory\.available: wanted a string, got the number 5`, `failSwapOn: wanted true or false, got the string "no"`, "featureGates.A: wanted true or false", "logging.verbosity: wanted a whole number (32 bit, not negative), got the number -1",
				"maxPods: wanted a whole number (32 bit), got the number 1.5", "oomScoreAdj: wanted a whole number (32 bit)", "registerWithTaints[0].keys: unknown field in 1.37; did you mean key?",
				"reservedMemory[0].limits.memory: wanted a quantity", "reservedMemory[0].numaNode: wanted", `syncFrequency: wanted a duration like "1m30s", got the number 60`, "tlsCurvePreferences[0]: wanted a whole"}},
		{name: "what a kubelet takes, too", in: Input{Minor: 37, Config: tree{
			"maxPods": 110.0, "reservedMemory": []any{tree{"numaNode": 0, "limits": tree{"memory": 1024}}}, "memoryThrottlingFactor": 1, "clusterDNS": []string{"10.0.0.10"},
			"logging": tree{"flushFrequency": 5000000000}, "kubeReserved": map[string]string{"cpu": "1"}, "clusterDomain": nil}},
			fields: tree{"maxPods": int64(110), "clusterDNS": []any{"10.0.0.10"}, "kubeReserved": tree{"cpu": "1"}, "clusterDomain": nil}},

		{name: "standalone asks for no API server",
			in:       Input{Minor: 37, Standalone: true, Flags: flags{"kubeconfig": "/k", "bootstrap-kubeconfig": "/b"}},
			problems: []string{"--bootstrap-kubeconfig: a standalone kubelet", "--kubeconfig: a standalone kubelet"}},
		{name: "standalone, with the server after all",
			in:     Input{Minor: 37, Standalone: true, Config: tree{"enableServer": true}},
			fields: tree{"enableServer": true, "rotateCertificates": nil}, noArgs: []string{"--kubeconfig"}},
		{name: "standalone before the field", in: Input{Minor: 18, Standalone: true},
			args: []string{"--enable-server=false", "--register-node=false"}, fields: tree{"enableServer": nil}},
		{name: "standalone before the field, overridden", in: Input{Minor: 18, Standalone: true, Flags: flags{"enable-server": "true"}},
			args: []string{"--enable-server=true"}},

		{name: "other paths", in: Input{Minor: 37, ConfigPath: "/c.yaml", Kubeconfig: "/k"}, args: []string{"--config=/c.yaml", "--kubeconfig=/k"}},
		{name: "too old", in: Input{Minor: 12, Version: "v1.12.3"}, problems: []string{"version: v1.12.3 is not known: the oldest release is 1.13"}},
		{name: "too new", in: Input{Minor: 38, Version: "v1.38.0"}, warnings: []string{"version: v1.38.0 is newer than the tables"}, args: []string{"--v=2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := Render(tt.in)
			var problems Problems
			if err != nil && !errors.As(err, &problems) {
				t.Fatalf("not Problems: %v", err)
			}
			match(t, "problems", problems, tt.problems)
			if err != nil {
				return
			}
			match(t, "notes", out.Notes, tt.notes)
			match(t, "warnings", out.Warnings, tt.warnings)
			for _, want := range tt.args {
				if !slices.Contains(out.Args, want) {
					t.Errorf("no %s in %q", want, out.Args)
				}
			}
			for _, no := range tt.noArgs {
				if slices.ContainsFunc(out.Args, func(a string) bool { return strings.HasPrefix(a, no) }) {
					t.Errorf("%s in %q", no, out.Args)
				}
			}
			for field, want := range tt.fields {
				path, _ := SplitPath(field)
				if got, _ := get(out.Fields, path); !reflect.DeepEqual(got, want) {
					t.Errorf("%s: got %#v, want %#v", field, got, want)
				}
			}
			again, err := Render(tt.in)
			if err != nil || !bytes.Equal(again.Config, out.Config) || !slices.Equal(again.Args, out.Args) {
				t.Errorf("the second time is different: %v", err)
			}
		})
	}
}

func match[T fmt.Stringer](t *testing.T, what string, got []T, want []string) {
	t.Helper()
	ok := len(got) == len(want)
	for i := 0; ok && i < len(want); i++ {
		ok = strings.Contains(fmt.Sprint(got[i]), want[i])
	}
	if !ok {
		t.Errorf("%s:\n got %v\nwant %q", what, got, want)
	}
}

// TestRenderKeepsInput: the caller's maps are its own.
func TestRenderKeepsInput(t *testing.T) {
	in := Input{Minor: 37, Config: tree{"logging": tree{"verbosity": 3}, "cgroupDriver": nil}, Flags: flags{"log-flush-frequency": "5s"}}
	if _, err := Render(in); err != nil {
		t.Fatal(err)
	}
	if want := (tree{"logging": tree{"verbosity": 3}, "cgroupDriver": nil}); !reflect.DeepEqual(in.Config, want) {
		t.Errorf("Config became %v", in.Config)
	}
}

// TestRenderWritesNoNull: a null is the user's way to take a default back, not
// something for the file.
func TestRenderWritesNoNull(t *testing.T) {
	out, err := Render(Input{Minor: 37, Config: tree{"cgroupDriver": nil, "logging": tree{"format": nil, "verbosity": 3}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{"cgroupDriver", "format", "null"} {
		if bytes.Contains(out.Config, []byte(gone)) {
			t.Errorf("%s in\n%s", gone, out.Config)
		}
	}
}

// TestRenderPositions: a problem names the line that the user wrote.
func TestRenderPositions(t *testing.T) {
	config, positions, err := LoadKubeletConfiguration("k.yaml", []byte("apiVersion: "+apiVersion+"\nkind: "+kind+"\nlogging:\n  verbositi: 1\nevictionHard:\n  memory.available: 5\n"))
	if err != nil {
		t.Fatal(err)
	}
	positions["flags.max_pods"] = Position{"spec.yaml", 9, 3}
	_, err = Render(Input{Minor: 37, Config: config, Positions: positions, Flags: flags{"max_pods": "x"}})
	want := `k.yaml:4:3: kubeletConfiguration.logging.verbositi: unknown field in 1.37; did you mean verbosity?
k.yaml:6:3: kubeletConfiguration.evictionHard.memory\.available: wanted a string, got the number 5; put it in quotes
spec.yaml:9:3: flag --max-pods: wanted a whole number (32 bit), got "x"`
	if fmt.Sprint(err) != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}
