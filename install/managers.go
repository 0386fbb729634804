package install

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/kubeletctl/kubeletctl/systemd"
)

// managers are kubelet's resource managers that keep a checkpoint below its root directory. Kubelet refuses to start
// when the policy in it is not the configured one, or when what was set aside does not fit what is configured now
// (pkg/kubelet/cm/cpumanager/policy_static.go and memorymanager/policy_static.go, validateState).
var managers = []struct {
	file, policyField, policy string
	// reservations are the fields that count with the policy Static.
	reservations [][]string
}{
	{"cpu_manager_state", "cpuManagerPolicy", "none", [][]string{
		{"reservedSystemCPUs"}, {"kubeReserved", "cpu"}, {"systemReserved", "cpu"}, {"cpuManagerPolicyOptions"}}},
	{"memory_manager_state", "memoryManagerPolicy", "None", [][]string{
		{"reservedMemory"}, {"kubeReserved", "memory"}, {"systemReserved", "memory"}, {"evictionHard", "memory.available"}}},
}

// StaleState is a checkpoint of a resource manager with which the kubelet of a change would refuse to start.
type StaleState struct {
	Path, Reason string
	file         File
}

// StaleStates looks for checkpoints that do not fit what is wanted. It changes nothing.
func (h *Host) StaleStates(c *Change) ([]StaleState, error) {
	wanted, err := configFields(c.Want)
	if err != nil || c.Want.Snapshot {
		return nil, err
	}
	had, err := configFields(c.Have)
	if err != nil {
		return nil, err
	}
	var stale []StaleState
	known := loadFingerprints(h.Tree)
	for _, m := range managers {
		found, err := h.lookAt(File{Path: path.Join(c.Want.rootDir(), m.file)}, known)
		if err != nil {
			return nil, err
		}
		if found.Kind != Text {
			continue
		}
		var checkpoint struct {
			PolicyName string `json:"policyName"`
		}
		if json.Unmarshal(found.Content, &checkpoint) != nil || checkpoint.PolicyName == "" {
			continue // kubelet knows best what to do with that
		}
		policy, _ := wanted[m.policyField].(string)
		policy = cmp.Or(policy, m.policy)
		reason := ""
		switch {
		case !strings.EqualFold(checkpoint.PolicyName, policy):
			reason = fmt.Sprintf("it is of the policy %s, and %s is %s now", checkpoint.PolicyName, m.policyField, policy)
		case c.Have != nil && strings.EqualFold(policy, "static"):
			for _, field := range m.reservations {
				if !reflect.DeepEqual(at(had, field), at(wanted, field)) {
					reason = strings.Join(field, ".") + " changes, for which it was made"
					break
				}
			}
		}
		if reason != "" {
			stale = append(stale, StaleState{found.Path, reason, found})
		}
	}
	return stale, nil
}

// Reset adds to a plan that kubelet is stopped, these checkpoints are removed, and kubelet is started anew. Should the
// change be undone they are put back.
func (c *Change) Reset(stale []StaleState) {
	steps := []Step{{Action: Stop, Target: systemd.KubeletService, Reason: "its resource managers begin anew"}}
	if !c.Seen.Live {
		steps = nil
	}
	for _, s := range stale {
		steps = append(steps, Step{Action: Remove, Target: s.Path, Reason: s.Reason})
		c.states = append(c.states, s.file)
	}
	last := slices.IndexFunc(c.Plan.Steps, func(s Step) bool {
		return s.Cleanup || s.Target == systemd.KubeletService && (s.Action == Start || s.Action == Restart)
	})
	if last < 0 {
		last = len(c.Plan.Steps)
	} else if s := &c.Plan.Steps[last]; s.Action == Restart {
		s.Action = Start
	}
	c.Plan.Steps = slices.Insert(c.Plan.Steps, last, steps...)
}

// configFields reads the configuration that a generation has; nil for none.
func configFields(g *Generation) (map[string]any, error) {
	var fields map[string]any
	if err := yaml.Unmarshal(g.file(ConfigFile).Content, &fields); err != nil {
		return nil, fmt.Errorf("reading the recorded %s: %w", path.Base(ConfigFile), err)
	}
	return fields, nil
}

func at(fields map[string]any, field []string) any {
	var value any = fields
	for _, key := range field {
		m, _ := value.(map[string]any)
		value = m[key]
	}
	return value
}

// rootDir is where a generation's kubelet keeps its data.
func (g *Generation) rootDir() string {
	if g != nil && g.Spec != nil {
		if flags, err := g.Spec.flags(); err == nil && flags["root-dir"] != "" {
			return path.Clean(flags["root-dir"])
		}
	}
	return KubeletDir
}

// isCheckpoint tells whether a path is the checkpoint of a resource manager.
func isCheckpoint(target string) bool {
	for _, m := range managers {
		if path.Base(target) == m.file {
			return true
		}
	}
	return false
}
