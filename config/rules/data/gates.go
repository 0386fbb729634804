//go:build ignore

// gates prints gates.txt: the feature gates of a kubelet, release by release, as the sources of each release have them.
//
//	go run config/rules/data/gates.go v1.13.12 v1.14.10 v1.15.12 v1.16.15 v1.17.17 v1.18.19 v1.19.16 v1.20.15 v1.21.14 \
//	  v1.22.17 v1.23.17 v1.24.17 v1.25.16 v1.26.15 v1.27.16 v1.28.15 v1.29.14 v1.30.14 v1.31.14 v1.32.13 v1.33.13 \
//	  v1.34.4 v1.35.4 v1.36.3 v1.37.2 >gates.txt
//
// It takes the sources from the Go module proxy (go mod download), one patch release of each minor, oldest first. Up to 1.14
// the staging modules are part of k8s.io/kubernetes.
package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// alwaysLinked are the packages whose gates every kubelet has, where they exist.
var alwaysLinked = []string{"k8s.io/kubernetes/pkg/features", "k8s.io/apiserver/pkg/features", "k8s.io/component-base/featuregate", "k8s.io/apiserver/pkg/util/feature"}

// sometimesLinked have gates that a kubelet has when its own packages, or others of these, add them.
var sometimesLinked = []string{
	"k8s.io/apiextensions-apiserver/pkg/features", "k8s.io/client-go/features",
	"k8s.io/component-base/logs", "k8s.io/component-base/logs/api/v1", "k8s.io/component-base/metrics/features", "k8s.io/component-base/zpages/features",
}

// state is what a gate is in one release.
type state struct {
	maturity   string
	on, locked bool
	needs      []string
}

func (s state) String() string {
	text := fmt.Sprintf("%s=%t", s.maturity, s.on)
	if s.locked {
		text += "!"
	}
	if len(s.needs) > 0 {
		text += "<" + strings.Join(s.needs, ",")
	}
	return text
}

func main() {
	history := map[string][]string{}
	last := map[string]string{}
	for _, version := range os.Args[1:] {
		r, err := load(version)
		if err != nil {
			fmt.Fprintln(os.Stderr, "gates:", err)
			os.Exit(1)
		}
		for name := range last {
			if _, there := r.gates[name]; !there && last[name] != "gone" {
				history[name] = append(history[name], fmt.Sprintf("%d:gone", r.minor))
				last[name] = "gone"
			}
		}
		for name, s := range r.gates {
			if text := s.String(); last[name] != text {
				history[name] = append(history[name], fmt.Sprintf("%d:%s", r.minor, text))
				last[name] = text
			}
		}
		fmt.Fprintf(os.Stderr, "%s: %d gates\n", version, len(r.gates))
	}
	for _, name := range slices.Sorted(maps.Keys(history)) {
		fmt.Println(name, strings.Join(history[name], " "))
	}
}

// sources are those of one release.
type sources struct {
	version string // v1.37.2
	minor   int
	names   map[string]map[string]string // by package, the strings that constants stand for
	gates   map[string]state
}

func load(version string) (*sources, error) {
	parts := strings.Split(version, ".")
	if len(parts) != 3 || parts[0] != "v1" {
		return nil, fmt.Errorf("%s is not a version such as v1.37.2", version)
	}
	minor, err := strconv.Atoi(parts[1])
	if err != nil {
		return nil, err
	}
	s := &sources{version: version, minor: minor, names: map[string]map[string]string{}, gates: map[string]state{}}
	linked, err := s.linked()
	if err != nil {
		return nil, err
	}
	var files []file
	for _, path := range linked {
		more, err := s.parse(path)
		if err != nil {
			return nil, err
		}
		files = append(files, more...)
	}
	for _, f := range files {
		if err := f.read(s); err != nil {
			return nil, fmt.Errorf("%s: %w", version, err)
		}
	}
	for _, f := range files {
		if err := f.dependencies(s); err != nil {
			return nil, fmt.Errorf("%s: %w", version, err)
		}
	}
	return s, nil
}

// dir is the directory of a package's sources.
func (s *sources) dir(path string) (string, error) {
	parts := strings.SplitN(path, "/", 3)
	module, version := parts[0]+"/"+parts[1], "v0."+strings.TrimPrefix(s.version, "v1.")
	inside := filepath.Join(parts[2:]...)
	if module == "k8s.io/kubernetes" {
		version = s.version
	} else if s.minor < 15 {
		kubernetes, err := download("k8s.io/kubernetes", s.version)
		return filepath.Join(kubernetes, "staging/src", module, inside), err
	}
	root, err := download(module, version)
	return filepath.Join(root, inside), err
}

func download(module, version string) (string, error) {
	out, err := exec.Command("go", "mod", "download", "-json", module+"@"+version).Output()
	var answer struct{ Dir, Error string }
	if decoding := json.Unmarshal(out, &answer); decoding != nil {
		return "", errors.Join(err, decoding)
	}
	if answer.Error != "" {
		return "", errors.New(answer.Error)
	}
	return answer.Dir, nil
}

// linked are the packages with gates that a kubelet of the release links.
func (s *sources) linked() ([]string, error) {
	linked := slices.Clone(alwaysLinked)
	imported := ""
	for _, from := range append([]string{"k8s.io/kubernetes/cmd/kubelet", "k8s.io/kubernetes/pkg/kubelet"}, alwaysLinked...) {
		dir, err := s.dir(from)
		if err != nil {
			return nil, err
		}
		err = filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || !isSource(name) {
				return err
			}
			text, err := os.ReadFile(name)
			imported += importedBy(text)
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	for _, path := range sometimesLinked {
		if strings.Contains(imported, strconv.Quote(path)) {
			linked = append(linked, path)
		}
	}
	return linked, nil
}

func isSource(name string) bool {
	return strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go")
}

var importLine = regexp.MustCompile(`(?m)^(import)?[ \t]+[A-Za-z0-9_.]* ?("k8s\.io/[^"]*")`)

func importedBy(text []byte) string {
	imported := ""
	for _, match := range importLine.FindAllSubmatch(text, -1) {
		imported += string(match[2])
	}
	return imported
}

// file is a file of a package with gates.
type file struct {
	*ast.File
	path string // of the package
}

func (s *sources) parse(path string) ([]file, error) {
	dir, err := s.dir(path)
	if err != nil {
		return nil, err
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	var files []file
	for _, name := range names {
		if !isSource(name) {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			return nil, err
		}
		files = append(files, file{parsed, path})
	}
	return files, nil
}

// constants notes the strings, true and false that constants of the package stand for.
func (f file) constants(names map[string]string) {
	ast.Inspect(f.File, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Names) != len(spec.Values) {
			return true
		}
		for i, name := range spec.Names {
			if literal, ok := converted(spec.Values[i]).(*ast.BasicLit); ok && literal.Kind == token.STRING {
				names[name.Name], _ = strconv.Unquote(literal.Value)
			}
			if value := lastName(spec.Values[i]); value == "true" || value == "false" {
				names[name.Name] = value
			}
		}
		return true
	})
}

// constant is the string that an expression stands for: a constant of this package, or of one that it imports.
func (f file) constant(s *sources, e ast.Expr) (string, error) {
	e = converted(e)
	path, name := f.path, lastName(e)
	if selector, ok := e.(*ast.SelectorExpr); ok {
		alias := lastName(selector.X)
		for _, i := range f.Imports {
			imported, _ := strconv.Unquote(i.Path.Value)
			if i.Name != nil && i.Name.Name == alias || i.Name == nil && filepath.Base(imported) == alias {
				path = imported
			}
		}
	}
	if s.names[path] == nil {
		files, err := s.parse(path)
		if err != nil {
			return "", err
		}
		s.names[path] = map[string]string{}
		for _, f := range files {
			f.constants(s.names[path])
		}
	}
	if text, known := s.names[path][name]; known {
		return text, nil
	}
	return "", fmt.Errorf("no string is known for %s of %s", name, path)
}

// read reads the tables of gates: maps of a FeatureSpec or, from 1.31 on, of VersionedSpecs.
func (f file) read(s *sources) (err error) {
	ast.Inspect(f.File, func(n ast.Node) bool {
		table, ok := n.(*ast.CompositeLit)
		if !ok || err != nil || len(table.Elts) == 0 {
			return err == nil
		}
		of, ok := table.Type.(*ast.MapType)
		if !ok || lastName(of.Key) != "Feature" {
			return true
		}
		kind := lastName(of.Value)
		if kind != "FeatureSpec" && kind != "VersionedSpecs" {
			return true
		}
		for _, e := range table.Elts {
			pair := e.(*ast.KeyValueExpr)
			name, failed := f.constant(s, pair.Key)
			if failed != nil {
				err = failed
				return false
			}
			value := pair.Value.(*ast.CompositeLit)
			if kind == "FeatureSpec" {
				var one spec
				one, err = f.spec(s, value)
				s.gates[name] = one.state
				continue
			}
			s.gates[name] = state{maturity: "PreAlpha"}
			for _, e := range value.Elts { // in the order of the releases
				one, failed := f.spec(s, e.(*ast.CompositeLit))
				err = errors.Join(err, failed)
				if one.since <= s.minor && one.compatible < s.minor {
					s.gates[name] = one.state
				}
			}
		}
		return true
	})
	return err
}

type spec struct {
	state
	since, compatible int
}

var minorText = regexp.MustCompile(`1\.([0-9]+)`)

func (f file) spec(of *sources, literal *ast.CompositeLit) (s spec, err error) {
	isTrue := func(e ast.Expr) bool {
		value := lastName(e)
		if value != "true" && value != "false" {
			value, err = f.constant(of, e)
		}
		return value == "true"
	}
	for _, e := range literal.Elts {
		pair := e.(*ast.KeyValueExpr)
		switch lastName(pair.Key) {
		case "Default":
			s.on = isTrue(pair.Value)
		case "LockToDefault":
			s.locked = isTrue(pair.Value)
		case "PreRelease":
			s.maturity = cmp.Or(lastName(pair.Value), "GA")
		case "Version":
			s.since = minorOf(pair.Value)
		case "MinCompatibilityVersion":
			s.compatible = minorOf(pair.Value)
		}
	}
	s.maturity = cmp.Or(s.maturity, "GA")
	return s, err
}

// minorOf reads version.MustParse("1.37") or version.MajorMinor(1, 37).
func minorOf(e ast.Expr) int {
	call := e.(*ast.CallExpr)
	text, _ := strconv.Unquote(call.Args[0].(*ast.BasicLit).Value)
	if m := minorText.FindStringSubmatch(text); m != nil {
		n, _ := strconv.Atoi(m[1])
		return n
	}
	n, _ := strconv.Atoi(call.Args[1].(*ast.BasicLit).Value)
	return n
}

// dependencies reads the maps from a gate to those that it needs.
func (f file) dependencies(s *sources) (err error) {
	ast.Inspect(f.File, func(n ast.Node) bool {
		table, ok := n.(*ast.CompositeLit)
		if !ok || err != nil {
			return err == nil
		}
		of, ok := table.Type.(*ast.MapType)
		if !ok || lastName(of.Key) != "Feature" {
			return true
		}
		if list, ok := of.Value.(*ast.ArrayType); !ok || lastName(list.Elt) != "Feature" {
			return true
		}
		for _, e := range table.Elts {
			pair := e.(*ast.KeyValueExpr)
			gate, failed := f.constant(s, pair.Key)
			err = errors.Join(err, failed)
			of := s.gates[gate]
			for _, needed := range pair.Value.(*ast.CompositeLit).Elts {
				name, failed := f.constant(s, needed)
				err = errors.Join(err, failed)
				of.needs = append(of.needs, name)
			}
			slices.Sort(of.needs)
			s.gates[gate] = of
		}
		return true
	})
	return err
}

// converted is what a conversion is made of: "X" of featuregate.Feature("X").
func converted(e ast.Expr) ast.Expr {
	if conversion, ok := e.(*ast.CallExpr); ok && len(conversion.Args) == 1 {
		return conversion.Args[0]
	}
	return e
}

// lastName is the name that an expression ends in: Alpha of featuregate.Alpha.
func lastName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}
