package config

import (
	"bytes"
	"encoding"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode"

	yamlnode "go.yaml.in/yaml/v4"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// DecodeStrict reads one YAML document into a struct with json tags, and reports
// everything that is wrong with it at once, as Problems with line and column:
// syntax, unknown and duplicate keys, keys in the wrong case, wrong types. Below
// a map or an `any` keys are free.
//
// The values themselves come from sigs.k8s.io/yaml, the parser that kubelets
// use, so that `yes` and `0o17` mean here what they mean there; only positions
// and duplicates come from a second parser.
func DecodeStrict(file string, data []byte, into any) (Positions, error) {
	target := reflect.ValueOf(into)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return nil, fmt.Errorf("decoding %s: want a pointer, got %T", file, into)
	}
	doc, problems := parseDocument(file, data)
	if doc == nil {
		return nil, problems.err()
	}
	s := shape{positions: doc.positions, problems: problems}
	s.check("", doc.value, target.Type().Elem())
	if err := s.problems.err(); err != nil {
		return doc.positions, err
	}

	asJSON, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return doc.positions, Problems{{Position: Position{File: file}, Message: plainYAML(err)}}
	}
	strict, err := json.UnmarshalStrict(asJSON, into)
	if err != nil {
		strict = append(strict, err)
	}
	for _, err := range strict {
		s.problems = append(s.problems, Problem{Position: Position{File: file}, Message: err.Error()})
	}
	return doc.positions, s.problems.err()
}

// LoadKubeletConfiguration reads a KubeletConfiguration file that the user
// starts from, as a kubelet reads it: what begins with a brace is JSON and
// nothing else, and of YAML the first document counts. Syntax, duplicate keys,
// apiVersion and kind are checked here, the fields by Render. The map comes
// without apiVersion and kind; the positions begin with "kubeletConfiguration",
// as Input.Positions wants them.
func LoadKubeletConfiguration(file string, data []byte) (map[string]any, Positions, error) {
	parse := parseFirstDocument
	if isJSON(data) {
		parse = parseJSON
	}
	doc, problems := parse(file, data)
	if doc == nil {
		return nil, nil, problems.err()
	}
	config, ok := doc.value.(map[string]any)
	if !ok {
		problems = append(problems, Problem{Position: doc.positions.of(""), Message: "wanted a KubeletConfiguration, got " + describe(doc.value)})
		return nil, nil, problems.err()
	}
	for _, want := range []struct{ key, value string }{{"apiVersion", apiVersion}, {"kind", kind}} {
		got, given := config[want.key]
		switch {
		case !given:
			problems = append(problems, Problem{
				Position: Position{File: file}, Path: want.key,
				Message: fmt.Sprintf("missing, wanted %q", want.value), Hint: missingHint(want.key, config),
			})
		case got != want.value:
			problems = append(problems, Problem{
				Position: doc.positions.of(want.key), Path: want.key,
				Message: fmt.Sprintf("wanted %q, got %s", want.value, describe(got)),
			})
		}
		delete(config, want.key)
	}
	positions := make(Positions, len(doc.positions))
	for path, at := range doc.positions {
		switch path {
		case "":
			positions[root] = at
		default:
			positions[root+"."+path] = at
		}
	}
	return config, positions, problems.err()
}

func missingHint(key string, config map[string]any) string {
	if c := otherCase(key, slices.Sorted(maps.Keys(config))); c != "" {
		return fmt.Sprintf("it is written %s here (case)", c)
	}
	return ""
}

// document is one YAML document: its value as the kubelet's parser sees it, and
// where each part was written.
type document struct {
	value     any
	positions Positions
}

// parseDocument reads the only document of a YAML file. It returns nil when
// there is nothing to look at further.
func parseDocument(file string, data []byte) (*document, Problems) {
	if second, found := SecondDocument(file, data); found {
		return nil, Problems{{Position: second, Message: "a second document: one file holds one"}}
	}
	return parseFirstDocument(file, data)
}

// parseFirstDocument reads the first document of a YAML file.
func parseFirstDocument(file string, data []byte) (*document, Problems) {
	fail := failure(file)
	var node yamlnode.Node
	err := yamlnode.NewDecoder(bytes.NewReader(data)).Decode(&node)
	if errors.Is(err, io.EOF) {
		return fail(0, 0, "the file is empty")
	}
	if err != nil {
		if load, ok := errors.AsType[*yamlnode.LoadError](err); ok {
			return fail(load.Mark.Line, load.Mark.Column, load.Message)
		}
		return fail(0, 0, plainYAML(err))
	}
	asJSON, err := yaml.YAMLToJSON(data) // not strict: duplicates are found below, with their line
	if err != nil {
		return fail(0, 0, plainYAML(err))
	}
	return newDocument(file, asJSON, &node)
}

// SecondDocument finds where the second document of a YAML file begins, if it
// has one with a word in it.
func SecondDocument(file string, data []byte) (Position, bool) {
	if isJSON(data) {
		return Position{}, false
	}
	decoder := yamlnode.NewDecoder(bytes.NewReader(data))
	var first, second yamlnode.Node
	if decoder.Decode(&first) != nil {
		return Position{}, false
	}
	for {
		err := decoder.Decode(&second)
		load, broken := errors.AsType[*yamlnode.LoadError](err)
		switch {
		case broken:
			return Position{file, load.Mark.Line, load.Mark.Column}, true
		case err != nil:
			return Position{}, false
		case len(second.Content) > 0 && second.Content[0].Tag != "!!null":
			return Position{file, second.Line, second.Column}, true
		}
	}
}

// isJSON reports whether a kubelet reads data as JSON: by the first character.
func isJSON(data []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeftFunc(data, unicode.IsSpace), []byte("{"))
}

// parseJSON reads a file that is one JSON document.
func parseJSON(file string, data []byte) (*document, Problems) {
	var value any
	if err := stdjson.Unmarshal(data, &value); err != nil {
		line, column := 0, 0
		if syntax, ok := errors.AsType[*stdjson.SyntaxError](err); ok && syntax.Offset > 0 {
			before := data[:syntax.Offset-1]
			line = 1 + bytes.Count(before, []byte("\n"))
			column = len(before) - bytes.LastIndexByte(before, '\n')
		}
		return failure(file)(line, column, "a kubelet reads what begins with { as JSON: "+err.Error())
	}
	var node yamlnode.Node // of JSON that YAML cannot say, no place is known
	if yamlnode.NewDecoder(bytes.NewReader(data)).Decode(&node) != nil {
		node = yamlnode.Node{}
	}
	return newDocument(file, data, &node)
}

func failure(file string) func(line, column int, message string) (*document, Problems) {
	return func(line, column int, message string) (*document, Problems) {
		return nil, Problems{{Position: Position{File: file, Line: line, Column: column}, Message: message}}
	}
}

func newDocument(file string, asJSON []byte, node *yamlnode.Node) (*document, Problems) {
	var value any
	if err := json.UnmarshalCaseSensitivePreserveInts(asJSON, &value); err != nil {
		return failure(file)(0, 0, err.Error())
	}
	if value == nil {
		return failure(file)(0, 0, "the file is empty")
	}
	w := walk{file: file, positions: Positions{"": {File: file}}}
	w.node("", node)
	return &document{value: tidy(value), positions: w.positions}, w.problems
}

// plainYAML is a parser's message without its name.
func plainYAML(err error) string {
	text := err.Error()
	for _, prefix := range []string{"error converting YAML to JSON: ", "yaml: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return text
}

// walk collects positions and duplicate keys. It never follows an alias: that
// may lead in a circle, and an anchor's content has been seen where it stands.
type walk struct {
	file      string
	positions Positions
	problems  Problems
}

func (w *walk) at(n *yamlnode.Node) Position { return Position{w.file, n.Line, n.Column} }

func (w *walk) node(path string, n *yamlnode.Node) {
	switch n.Kind {
	case yamlnode.DocumentNode:
		for _, content := range n.Content {
			w.positions[path] = w.at(content)
			w.node(path, content)
		}
	case yamlnode.SequenceNode:
		for i, content := range n.Content {
			w.positions[item(path, i)] = w.at(content)
			w.node(item(path, i), content)
		}
	case yamlnode.MappingNode:
		seen := map[string]int{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			if key.Kind != yamlnode.ScalarNode || key.Tag == "!!merge" {
				w.node(path, value)
				continue
			}
			at := below(path, key.Value)
			if line, twice := seen[key.Value]; twice {
				w.problems = append(w.problems, Problem{
					Position: w.at(key), Path: at, Message: fmt.Sprintf("given twice, first in line %d", line),
				})
				continue
			}
			seen[key.Value] = key.Line
			w.positions[at] = w.at(key)
			w.node(at, value)
		}
	}
}

// shape holds a value against a Go type.
type shape struct {
	positions Positions
	problems  Problems
}

func (s *shape) problem(path, hint, format string, args ...any) {
	s.problems = append(s.problems, Problem{
		Position: s.positions.of(path), Path: path, Message: fmt.Sprintf(format, args...), Hint: hint,
	})
}

var (
	jsonReader = reflect.TypeFor[stdjson.Unmarshaler]()
	textReader = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func (s *shape) check(path string, value any, t reflect.Type) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if value == nil {
		return
	}
	if p := reflect.PointerTo(t); p.Implements(jsonReader) || p.Implements(textReader) {
		s.leaf(path, value, t, t.Name())
		return
	}
	switch t.Kind() {
	case reflect.Interface:
	case reflect.Struct:
		if m, ok := value.(map[string]any); ok {
			s.keys(path, m, t)
		} else {
			s.problem(path, "", "wanted a mapping, got %s", describeAt(path, value))
		}
	case reflect.Map:
		m, ok := value.(map[string]any)
		if !ok {
			s.problem(path, "", "wanted a mapping, got %s", describeAt(path, value))
			return
		}
		for _, key := range slices.Sorted(maps.Keys(m)) {
			s.check(below(path, key), m[key], t.Elem())
		}
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			s.leaf(path, value, t, "base64 text")
			return
		}
		list, ok := value.([]any)
		if !ok {
			s.problem(path, "", "wanted a list, got %s", describeAt(path, value))
			return
		}
		for i, v := range list {
			s.check(item(path, i), v, t.Elem())
		}
	case reflect.String:
		s.leaf(path, value, t, wantedType("string"))
	case reflect.Bool:
		s.leaf(path, value, t, wantedType("bool"))
	case reflect.Float32, reflect.Float64:
		s.leaf(path, value, t, wantedType("float64"))
	default:
		s.leaf(path, value, t, "a whole number")
	}
}

// leaf lets the type itself decide: by decoding into a fresh one.
func (s *shape) leaf(path string, value any, t reflect.Type, wanted string) {
	text, err := stdjson.Marshal(value)
	if err == nil {
		err = stdjson.Unmarshal(text, reflect.New(t).Interface())
	}
	if err == nil {
		return
	}
	hint := ""
	switch value.(type) {
	case bool, int64, float64:
		if t.Kind() == reflect.String {
			hint = "put it in quotes"
		}
	}
	s.problem(path, hint, "wanted %s, got %s", wanted, describeAt(path, value))
}

func (s *shape) keys(path string, value map[string]any, t reflect.Type) {
	types := map[string]reflect.Type{}
	jsonFields(t, types)
	names := slices.Sorted(maps.Keys(types))
	for _, key := range slices.Sorted(maps.Keys(value)) {
		if fieldType, ok := types[key]; ok {
			s.check(below(path, key), value[key], fieldType)
			continue
		}
		s.problem(below(path, key), DidYouMean(key, names), "unknown key")
	}
}

// jsonFields collects the keys of a struct as encoding/json names them.
func jsonFields(t reflect.Type, into map[string]reflect.Type) {
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		embedded := f.Type
		if embedded.Kind() == reflect.Pointer {
			embedded = embedded.Elem()
		}
		switch {
		case f.Tag.Get("json") == "-":
		case f.Anonymous && name == "" && embedded.Kind() == reflect.Struct:
			jsonFields(embedded, into)
		case !f.IsExported():
		case name != "":
			into[name] = f.Type
		default:
			into[f.Name] = f.Type
		}
	}
}
