package cmd

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/yaml"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/document"
	"github.com/kubeletctl/kubeletctl/install/spec"
)

// specSchema is the schema as an editor reads it.
func specSchema(t *testing.T) *jsonschema.Resolved {
	t.Helper()
	data, err := json.Marshal(spec.Schema())
	if err != nil {
		t.Fatal(err)
	}
	var schema jsonschema.Schema
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	resolved, err := schema.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	return resolved
}

// validate holds a YAML document against a schema.
func validate(t *testing.T, schema *jsonschema.Resolved, text []byte) error {
	t.Helper()
	var doc any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	return schema.Validate(doc)
}

// specFiles are the spec files of the tests and of the texts, by where they stand.
func specFiles(t *testing.T) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	add := func(name string, text []byte) {
		if kind, _ := (document.File{Name: name, Data: text}).Kind(); kind == document.Spec {
			files[name] = text
		}
	}
	for _, pattern := range []string{"testdata/script/*.txtar", "../install/spec/testdata/migrate/*.txtar"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, name := range names {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range archive.Files {
				add(name+":"+f.Name, f.Data)
			}
		}
	}
	for i, block := range strings.Split(readme(t), "```")[1:] {
		if text, is := strings.CutPrefix(block, "yaml\n"); is && i%2 == 0 {
			add("README.md", []byte(text))
		}
	}
	return files
}

// What kubeletctl takes, the schema does, and so it does what config show prints of it.
func TestSchemaAcceptsSpecs(t *testing.T) {
	schema := specSchema(t)
	accepted := 0
	for name, text := range specFiles(t) {
		s, _, err := spec.Parse(name, text)
		if err != nil || s.Check() != nil {
			continue
		}
		if v, err := spec.TargetVersion(s.Version); err == nil && s.CheckFor(v, nil) != nil {
			continue
		}
		accepted++
		if err := validate(t, schema, text); err != nil {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
		shown, err := specYAML(&s)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(t, schema, shown); err != nil {
			t.Errorf("%s, as config show prints it: %v\n%s", name, err, shown)
		}
	}
	if accepted < 5 {
		t.Errorf("only %d spec files were found", accepted)
	}
}

func TestSchemaRefuses(t *testing.T) {
	schema := specSchema(t)
	const head = "apiVersion: kubeletctl.dev/v1alpha1\nkind: KubeletInstallation\n"
	if err := validate(t, schema, []byte(head)); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"kind: KubeletInstallation\n",
		"apiVersion: kubeletctl.dev/v1\nkind: KubeletInstallation\n",
		head + "versoin: v1.37.2\n",
		head + "version: 1.37\n",
		head + "version: newest\n",
		head + "sources: https://mirror.example\n",
		head + "sources: [mirror.example]\n",
		head + "sha256: abc\n",
		head + "requireTrust: any\n",
		head + "arch: x86_64\n",
		head + "profile: default\n",
		head + "caFile: mirror.pem\n",
		head + "standalone: yes please\n",
		head + "paths: {bindir: /opt/bin}\n",
		head + "flags: {node-labels: [a=b]}\n",
		head + "kubeletConfiguration: {maxPods: many}\n",
		head + "kubeletConfiguration: {authentication: {anonymous: {enabled: 1}}}\n",
		head + "kubeletConfiguration: {reservedMemory: [{numaNode: zero}]}\n",
		head + "kubeletConfiguration: {featureGates: {X: maybe}}\n",
	} {
		if err := validate(t, schema, []byte(text)); err == nil {
			t.Errorf("it accepts\n%s", text)
		}
	}
}

// Every field of a spec is in the schema, with a description, and so is every flag and field of the tables.
func TestSchemaIsWhole(t *testing.T) {
	schema := specSchema(t).Schema()
	var check func(path string, typ reflect.Type, at *jsonschema.Schema)
	check = func(path string, typ reflect.Type, at *jsonschema.Schema) {
		for _, f := range reflect.VisibleFields(typ) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "-" {
				continue
			}
			property := at.Properties[name]
			if property == nil || property.Description == "" {
				t.Errorf("%s%s is not in the schema, or has no description", path, name)
			} else if f.Type.Kind() == reflect.Struct {
				check(path+name+".", f.Type, property)
			}
		}
	}
	check("", reflect.TypeFor[spec.Spec](), schema)
	flags := slices.Collect(maps.Keys(schema.Properties["flags"].Properties))
	for _, f := range config.FlagsOf(config.Newest) {
		if !slices.Contains(flags, f.Name) {
			t.Errorf("--%s is not in the schema", f.Name)
		}
	}
	for _, f := range config.AllFields() {
		at := schema.Properties["kubeletConfiguration"]
		for _, key := range strings.Split(f.Path, ".") {
			name, item := strings.CutSuffix(key, "[]")
			if at = at.Properties[name]; at == nil {
				t.Errorf("%s is not in the schema", f.Path)
				break
			}
			if item {
				at = at.Items
			}
		}
	}
}

// An editor finds the file that the help tells it of.
func TestSchemaIsPrinted(t *testing.T) {
	var out strings.Builder
	if code := Main([]string{"config", "schema"}, strings.NewReader(""), &out, os.Stderr); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	var doc map[string]any
	if err := json.Unmarshal([]byte(out.String()), &doc); err != nil || doc["$schema"] != "https://json-schema.org/draft/2020-12/schema" {
		t.Errorf("%v: %.200s", err, out.String())
	}
}
