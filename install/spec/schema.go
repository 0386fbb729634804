package spec

import (
	"maps"
	"reflect"
	"strings"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/release"
)

// Schema is the JSON schema (draft 2020-12) of a spec file, for editors. It says less than Spec.Check and Spec.CheckFor: those
// know which release is wanted.
func Schema() map[string]any {
	schema := schemaOf(reflect.TypeFor[Spec]())
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["title"] = Kind
	schema["required"] = []string{"apiVersion", "kind"}
	return schema
}

// schemaOf is the schema of a type. The tag doc describes a field.
func schemaOf(t reflect.Type) map[string]any {
	switch t.Kind() {
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int:
		return map[string]any{"type": "integer", "minimum": 0}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object"}
	case reflect.Struct:
		properties, narrower := map[string]any{}, values()
		for _, field := range reflect.VisibleFields(t) {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name == "-" {
				continue
			}
			property := schemaOf(field.Type)
			maps.Copy(property, narrower[name])
			property["description"] = field.Tag.Get("doc")
			properties[name] = property
		}
		return map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	}
	return map[string]any{"type": "string"}
}

// values say of the fields that do not take all that their type holds what they take.
func values() map[string]map[string]any {
	pattern := func(p string) map[string]any { return map[string]any{"pattern": p} }
	return map[string]map[string]any{
		"apiVersion": {"const": APIVersion},
		"kind":       {"const": Kind},
		"version": {"anyOf": []any{
			map[string]any{"enum": []string{"stable", "latest"}},
			pattern(`^(stable|latest)-1(\.[0-9]+)?$`),
			pattern(`^v?1\.[0-9]+(\.[0-9]+.*)?$`),
		}},
		"sources":              {"items": map[string]any{"type": "string", "pattern": "^(https?|file)://"}},
		"sha256":               pattern("^(sha256:)?[0-9a-fA-F]{64}$"),
		"sha512":               pattern("^(sha512:)?[0-9a-fA-F]{128}$"),
		"requireTrust":         {"enum": release.Trusts()},
		"caFile":               pattern("^/"),
		"arch":                 {"enum": release.Architectures()},
		"profile":              {"enum": config.Profiles()},
		"binDir":               pattern("^/"),
		"with":                 toolsSchema(),
		"flags":                config.FlagsSchema(),
		"kubeletConfiguration": config.FieldsSchema(),
	}
}
