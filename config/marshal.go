package config

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

const header = "# Written by kubeletctl; change it with kubeletctl set FIELD=VALUE: local edits are reported as drift."

// Marshal writes a KubeletConfiguration file with these fields, without apiVersion and kind, which it adds.
func Marshal(fields map[string]any) ([]byte, error) { return marshal(fields, nil) }

// marshal writes the file: apiVersion and kind first, then the fields by name.
// A default's reason stands above its top-level key, so that a reader of the
// host finds out why it is there.
func marshal(fields map[string]any, reasons map[string][]string) ([]byte, error) {
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s\napiVersion: %s\nkind: %s\n", header, apiVersion, kind)
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		block, err := yaml.Marshal(map[string]any{key: fields[key]})
		if err != nil {
			return nil, fmt.Errorf("rendering %s: %w", key, err)
		}
		for _, reason := range reasons[key] {
			fmt.Fprintf(&out, "# %s\n", strings.TrimPrefix(reason, ": "))
		}
		out.Write(block)
	}
	return out.Bytes(), nil
}
