package preflight

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path"
	"reflect"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/kubeletctl/kubeletctl/install/observe"
	"github.com/kubeletctl/kubeletctl/install/plan"
)

// manager is a resource manager of kubelet that keeps a checkpoint below its root directory.
type manager struct {
	file, policyField, policy string
	// reservations are the fields that count with the policy Static.
	reservations [][]string
}

// managers: kubelet refuses to start when the policy in a checkpoint is not the configured one, or when what was set aside
// does not fit what is configured now (pkg/kubelet/cm/cpumanager/policy_static.go and memorymanager/policy_static.go,
// validateState).
var managers = []manager{
	{plan.CPUCheckpoint, "cpuManagerPolicy", "none", [][]string{
		{"reservedSystemCPUs"}, {"kubeReserved", "cpu"}, {"systemReserved", "cpu"}, {"cpuManagerPolicyOptions"}}},
	{plan.MemoryCheckpoint, "memoryManagerPolicy", "None", [][]string{
		{"reservedMemory"}, {"kubeReserved", "memory"}, {"systemReserved", "memory"}, {"evictionHard", "memory.available"}}},
}

// StaleCheckpoints looks for checkpoints of resource managers with which the wanted kubelet would refuse to start.
func StaleCheckpoints(o observe.Observer, want, have *plan.Generation) ([]plan.Checkpoint, error) {
	if want.Snapshot {
		return nil, nil
	}
	wanted, err := Fields(want)
	if err != nil {
		return nil, err
	}
	var had map[string]any
	if have != nil && have.ConfigFile().Complete() {
		if had, err = Fields(have); err != nil {
			return nil, err
		}
	}
	var stale []plan.Checkpoint
	for _, m := range managers {
		found, err := o.Look(plan.File{Path: path.Join(want.KubeletRoot(), m.file)})
		if err != nil {
			return nil, err
		}
		if reason := m.stale(found, wanted, had); reason != "" {
			stale = append(stale, plan.Checkpoint{File: found, Reason: reason})
		}
	}
	return stale, nil
}

// stale says why a checkpoint cannot stay; nothing when it can. had is nil when nothing was installed, or when the record of that is damaged.
func (m manager) stale(found plan.File, wanted, had map[string]any) string {
	if found.Kind != plan.Text {
		return ""
	}
	var checkpoint struct {
		PolicyName string `json:"policyName"`
	}
	if json.Unmarshal(found.Content, &checkpoint) != nil || checkpoint.PolicyName == "" {
		return "" // kubelet knows best what to do with that
	}
	policy, _ := wanted[m.policyField].(string)
	policy = cmp.Or(policy, m.policy)
	if !strings.EqualFold(checkpoint.PolicyName, policy) {
		return fmt.Sprintf("it was made with the policy %s, and %s is now %s", checkpoint.PolicyName, m.policyField, policy)
	}
	if had == nil || !strings.EqualFold(policy, "static") {
		return ""
	}
	for _, field := range m.reservations {
		if !reflect.DeepEqual(at(had, field), at(wanted, field)) {
			return strings.Join(field, ".") + " changes, for which it was made"
		}
	}
	return ""
}

// Fields reads the configuration that a generation has; empty for none.
func Fields(g *plan.Generation) (map[string]any, error) {
	fields := map[string]any{}
	file := g.ConfigFile()
	if err := yaml.Unmarshal(file.Content, &fields); err != nil {
		return nil, fmt.Errorf("reading %s: %w", file.Path, err)
	}
	return fields, nil
}

// Endpoint is the CRI endpoint that a generation's kubelet speaks to.
func Endpoint(g *plan.Generation) (string, error) {
	if endpoint, ok := g.Arg("container-runtime-endpoint"); ok {
		return endpoint, nil
	}
	fields, err := Fields(g)
	endpoint, _ := fields["containerRuntimeEndpoint"].(string)
	return endpoint, err
}

func at(fields map[string]any, field []string) any {
	var value any = fields
	for _, key := range field {
		m, _ := value.(map[string]any)
		value = m[key]
	}
	return value
}
