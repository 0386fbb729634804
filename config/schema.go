package config

import (
	"slices"
	"strings"
)

// FlagsSchema is the JSON schema of kubelet flags by name, of all releases. Which of them a release takes is checked when that
// is known.
func FlagsSchema() map[string]any {
	value := func() map[string]any { return map[string]any{"type": []string{"string", "boolean", "number"}} }
	properties := map[string]any{}
	t := table()
	for _, name := range t.flagNames {
		f := t.flags[name]
		properties[name] = described(value(), lifeOf(f.Since, f.Deprecated, f.Removed), f.Notes)
	}
	return map[string]any{"type": "object", "properties": properties, "additionalProperties": value()}
}

// FieldsSchema is the JSON schema of the fields of a KubeletConfiguration, of all releases.
func FieldsSchema() map[string]any { return fieldsSchema("") }

// fieldsSchema is the schema of what is below a path.
func fieldsSchema(parent string) map[string]any {
	properties := map[string]any{}
	t := table()
	for _, name := range t.children[parent] {
		f := t.fields[below(parent, name)]
		value := ""
		if f.Default != "" && f.Removed == 0 {
			value = "Default: " + f.Default + "."
		}
		properties[name] = described(typeSchema(f.Path, f.Type), lifeOf(f.Since, f.Deprecated, f.Removed), value, f.Notes)
	}
	return map[string]any{"type": "object", "properties": properties}
}

// typeSchema is the schema of a type, as the table writes it.
func typeSchema(path, name string) map[string]any {
	if item, is := strings.CutPrefix(name, "[]"); is {
		return map[string]any{"type": "array", "items": typeSchema(path+"[]", item)}
	}
	if item, is := strings.CutPrefix(name, "map[string]"); is {
		return map[string]any{"type": "object", "additionalProperties": typeSchema(path, item)}
	}
	switch name {
	case "object", "taint":
		return fieldsSchema(path)
	case "bool":
		return map[string]any{"type": "boolean"}
	case "int32", "int64", "uint32":
		return map[string]any{"type": "integer"}
	case "float64":
		return map[string]any{"type": "number"}
	case "quantity":
		return map[string]any{"type": []string{"string", "number"}}
	}
	return map[string]any{"type": "string"}
}

// described adds a description to a schema, if there is one.
func described(schema map[string]any, sentences ...string) map[string]any {
	if text := strings.Join(slices.DeleteFunc(sentences, func(s string) bool { return s == "" }), " "); text != "" {
		schema["description"] = text
	}
	return schema
}

// lifeOf says in which releases something exists; nothing for what exists in all of them.
func lifeOf(since, deprecated, removed Minor) string {
	var words []string
	if since > Oldest {
		words = append(words, "from "+since.String())
	}
	if deprecated > 0 {
		words = append(words, "deprecated in "+deprecated.String())
	}
	if removed > 0 {
		words = append(words, "removed in "+removed.String())
	}
	if len(words) == 0 {
		return ""
	}
	text := strings.Join(words, ", ")
	return strings.ToUpper(text[:1]) + text[1:] + "."
}
