package cmd_test

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"sigs.k8s.io/yaml"

	"github.com/kubeletctl/kubeletctl/cmd"
	"github.com/kubeletctl/kubeletctl/scripts/gobuild"
	"github.com/kubeletctl/kubeletctl/scripts/mirror"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"kubeletctl": func() { os.Exit(cmd.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// standins are the versions in the release tree of every script. Upstream's table of published digests has v1.36.4, so a
// stand-in of that version takes a --sha256, and has none of 1.37.
var standins = []string{"v1.36.4", "v1.37.1", "v1.37.2"}

// tools are the programs beside kubelet; the release tree has one of each stand-in's version.
var tools = []string{"kubeadm", "kubectl"}

// odd are stand-ins that the tables are wrong about; a script adds them: release VERSION $ARCH $PROGRAMS/kubelet-VERSION.
var odd = []string{"v1.37.9", "v1.38.0"}

// TestScript runs testdata/script. Each script has
//
//	$RELEASE     a directory in release layout, its own, with the stand-ins for this architecture, and kubeadm and kubectl
//	$MIRROR      the URL of an HTTP server over it, which keeps a log and can be told to misbehave
//	$SECRET_MIRROR  the same with a user and a password, which nobody asks for
//	$ARCH        this machine's architecture, and $OTHER another one
//	$SHA_V       the SHA-256 of a stand-in: $SHA_1_36_4; $SHA512_V is its SHA-512, and $PART_V how the name of its
//	             partial download ends
//	$KUBELETCTL  the program as a file that any user may execute
//	tree         a host's tree: the directories that every host has, and nothing in them
//
// and the commands and conditions below.
func TestScript(t *testing.T) {
	t.Parallel()
	programs := buildPrograms(t)
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		RequireUniqueNames: true,
		Setup:              func(env *testscript.Env) error { return setUp(env, programs) },
		Condition:          func(name string) (bool, error) { return condition(name, programs) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":     exits,
			"has":       has,
			"requests":  requests,
			"fault":     fault,
			"reset":     func(ts *testscript.TestScript, _ bool, _ []string) { server(ts).Reset() },
			"snapshot":  snapshot,
			"unchanged": unchanged,
			"release":   addRelease,
			"tree":      layTree,
			"elf":       writeELF,
			"fill":      fill,
			"tmpfs":     tmpfs,
			"start":     start,
			"cluster":   startCluster,
			"sent":      sent,
			"interrupt": signal(os.Interrupt),
			"kill9":     signal(os.Kill),
			"ends":      ends,
			"says":      says,
			"grows":     grows,
		},
	})
}

// buildPrograms builds kubeletctl, what measures it, and the stand-ins, once for all scripts.
func buildPrograms(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	// Another user has to get at kubeletctl, see the condition "nobody".
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	err := errors.Join(gobuild.Static(filepath.Join(dir, "kubeletctl"), "cmd/kubeletctl"), gobuild.Static(filepath.Join(dir, "benchtool"), "scripts/benchtool"))
	for _, v := range slices.Concat(standins, odd) {
		err = errors.Join(err, gobuild.Standin(filepath.Join(dir, "kubelet-"+v), v))
	}
	for _, v := range append(standins, "v1.38.0") {
		for _, program := range tools {
			err = errors.Join(err, gobuild.Tool(filepath.Join(dir, program+"-"+v), program, v))
		}
	}
	err = errors.Join(err, buildMarker(dir, "v1.38.0"), buildMarker(dir, "v1.37.2"))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// buildMarker builds a kubelet that leaves a mark in the file marked when it is executed.
func buildMarker(dir, version string) error {
	c := exec.Command("go", "build", "-ldflags", "-s -w -X main.version="+version+" -X main.mark="+filepath.Join(dir, "marked"),
		"-o", filepath.Join(dir, "marker-"+version), "./testdata/marker")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("building a marker: %w\n%s", err, text)
	}
	return nil
}

// What Env.Values holds for the commands of a script.
type (
	serverKey    struct{}
	snapshotsKey struct{}
	startedKey   struct{}
)

func setUp(env *testscript.Env, programs string) error {
	// So that a script may act as another user in its tree.
	if err := os.Chmod(filepath.Dir(env.WorkDir), 0o755); err != nil {
		return err
	}
	for _, dir := range []string{"etc/systemd/system", "usr/local/bin", "var/lib"} {
		if err := os.MkdirAll(filepath.Join(env.WorkDir, "tree", dir), 0o755); err != nil {
			return err
		}
	}
	dir := filepath.Join(env.WorkDir, "release")
	for _, v := range standins {
		file := filepath.Join(programs, "kubelet-"+v)
		releases := []mirror.Release{{Version: v, Arch: runtime.GOARCH, Path: file}}
		for _, program := range tools {
			releases = append(releases, mirror.Release{Program: program, Version: v, Arch: runtime.GOARCH, Path: filepath.Join(programs, program+"-"+v)})
		}
		if err := mirror.WriteTree(dir, releases...); err != nil {
			return err
		}
		sum256, err := os.ReadFile(filepath.Join(dir, v, "bin/linux", runtime.GOARCH, "kubelet.sha256"))
		if err != nil {
			return err
		}
		sum512, err := os.ReadFile(filepath.Join(dir, v, "bin/linux", runtime.GOARCH, "kubelet.sha512"))
		if err != nil {
			return err
		}
		name := strings.ReplaceAll(v[1:], ".", "_")
		env.Setenv("SHA_"+name, string(sum256))
		env.Setenv("SHA512_"+name, string(sum512))
		env.Setenv("PART_"+name, string(sum512[:16]))
	}
	handler := mirror.Handler(dir)
	web := httptest.NewServer(handler)
	env.Defer(web.Close)
	env.Defer(web.CloseClientConnections) // else a download that a script left under way keeps it open
	env.Values[serverKey{}] = handler
	env.Values[snapshotsKey{}] = map[string]map[string]string{}
	env.Values[startedKey{}] = map[string]*process{}
	env.Values[clusterKey{}] = new(*cluster)
	other := "arm64"
	if runtime.GOARCH == other {
		other = "amd64"
	}
	for _, v := range [][2]string{
		{"RELEASE", dir}, {"MIRROR", web.URL + "/release"}, {"SECRET_MIRROR", strings.Replace(web.URL, "://", "://user:hidden@", 1) + "/release"}, {"ARCH", runtime.GOARCH}, {"OTHER", other},
		{"KUBELETCTL", filepath.Join(programs, "kubeletctl")}, {"PROGRAMS", programs},
		{"HOME", env.WorkDir}, {"NO_COLOR", "1"}, {"TZ", "UTC"}, {"LC_ALL", "C"},
	} {
		env.Setenv(v[0], v[1])
	}
	return nil
}

// asNobody runs a command as the user nobody.
var asNobody = []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}

// condition has what decides whether a script can run on this machine.
func condition(name, programs string) (bool, error) {
	switch name {
	case "root":
		return os.Geteuid() == 0, nil
	case "nobody": // whether a script can act as that user
		args := append(slices.Clone(asNobody), filepath.Join(programs, "kubeletctl"), "version")
		return os.Geteuid() == 0 && exec.Command(args[0], args[1:]...).Run() == nil, nil
	case "mount": // being root in a container may not be enough
		return mountable(), nil
	case "systemd":
		_, err := os.Stat("/run/systemd/system")
		return err == nil, nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

var mountable = sync.OnceValue(func() bool {
	dir, err := os.MkdirTemp("", "mount")
	if err != nil {
		return false
	}
	defer os.Remove(dir)
	return syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m") == nil && syscall.Unmount(dir, syscall.MNT_DETACH) == nil
})

// exits CODE COMMAND ARG... asserts the exact exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARG...")
	}
	checkCode(ts, args[0], ts.Exec(args[1], args[2:]...))
}

func checkCode(ts *testscript.TestScript, want string, err error) {
	code := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode() // -1 when a signal ended it
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(code) != want {
		ts.Fatalf("exit code %d, want %s", code, want)
	}
}

// has json|yaml PATH [VALUE] asserts that stdout is exactly one document that has a value at a path like .plan.steps[0].
// What is not a scalar is compared as JSON. "! has" asserts that there is nothing at the path.
func has(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: [!] has json|yaml PATH [VALUE]")
	}
	text := []byte(ts.ReadFile("stdout"))
	if args[0] == "yaml" {
		asJSON, err := yaml.YAMLToJSONStrict(text)
		ts.Check(err)
		text = asJSON
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var doc any
	ts.Check(decoder.Decode(&doc))
	if _, err := decoder.Token(); err != io.EOF {
		ts.Fatalf("there is more than one document on stdout")
	}
	value, found := dig(doc, args[1])
	switch {
	case neg && found:
		ts.Fatalf("%s is there: %v", args[1], value)
	case !neg && !found:
		ts.Fatalf("nothing is at %s", args[1])
	case neg || len(args) == 2:
		return
	}
	got, isText := value.(string)
	if !isText {
		compact, err := json.Marshal(value)
		ts.Check(err)
		got = string(compact)
	}
	if got != args[2] {
		ts.Fatalf("%s is %s, want %s", args[1], got, args[2])
	}
}

// dig follows a path of .key and [index].
func dig(value any, path string) (any, bool) {
	for _, key := range strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune(".[]", r) }) {
		switch v := value.(type) {
		case map[string]any:
			next, found := v[key]
			if !found {
				return nil, false
			}
			value = next
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(v) {
				return nil, false
			}
			value = v[i]
		default:
			return nil, false
		}
	}
	return value, true
}

func server(ts *testscript.TestScript) *mirror.Server { return ts.Value(serverKey{}).(*mirror.Server) }

// requests [N] prints the log of the mirror to stdout, a line a request, and asserts their number.
func requests(ts *testscript.TestScript, neg bool, args []string) {
	log := server(ts).Log()
	for _, r := range log {
		fmt.Fprintf(ts.Stdout(), "%s %s %d %s\n", r.Method, r.Path, r.Status, r.Range)
	}
	if len(args) == 1 && strconv.Itoa(len(log)) != args[0] {
		ts.Fatalf("%d requests, want %s: %+v", len(log), args[0], log)
	}
}

// fault MATCH KIND[=VALUE]... makes the mirror misbehave for paths that contain MATCH.
func fault(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: fault MATCH KIND[=VALUE]...")
	}
	var f mirror.Fault
	for _, arg := range args[1:] {
		kind, value, _ := strings.Cut(arg, "=")
		number := func() int {
			n, err := strconv.Atoi(value)
			ts.Check(err)
			return n
		}
		switch kind {
		case "times":
			f.Times = number()
		case "status":
			f.Status = number()
		case "body":
			f.Body = value
		case "no-length":
			f.NoLength = true
		case "stall":
			f.Stall = true
		case "truncate-after":
			f.TruncateAfter = int64(number())
		case "throttle": // bytes a second
			f.Throttle = number()
		default:
			ts.Fatalf("unknown fault %q", kind)
		}
	}
	server(ts).Fault(args[0], f)
}

func snapshots(ts *testscript.TestScript) map[string]map[string]string {
	return ts.Value(snapshotsKey{}).(map[string]map[string]string)
}

// snapshotDir takes NAME=DIR apart; the name tells several snapshots of one tree from each other.
func snapshotDir(arg string) string {
	if _, dir, named := strings.Cut(arg, "="); named {
		return dir
	}
	return arg
}

// snapshot [NAME=]DIR... remembers everything in a tree.
func snapshot(ts *testscript.TestScript, neg bool, args []string) {
	for _, arg := range args {
		found, err := describeTree(ts.MkAbs(snapshotDir(arg)))
		ts.Check(err)
		snapshots(ts)[arg] = found
	}
}

// unchanged [NAME=]DIR... asserts that a tree is as it was at its snapshot.
func unchanged(ts *testscript.TestScript, neg bool, args []string) {
	for _, arg := range args {
		before, taken := snapshots(ts)[arg]
		if !taken {
			ts.Fatalf("no snapshot %s was taken", arg)
		}
		now, err := describeTree(ts.MkAbs(snapshotDir(arg)))
		ts.Check(err)
		var differences []string
		for _, name := range slices.Sorted(maps.Keys(now)) {
			if old, known := before[name]; !known {
				differences = append(differences, "+ "+name+" "+now[name])
			} else if old != now[name] {
				differences = append(differences, "! "+name+" "+old+" -> "+now[name])
			}
		}
		for _, name := range slices.Sorted(maps.Keys(before)) {
			if _, there := now[name]; !there {
				differences = append(differences, "- "+name+" "+before[name])
			}
		}
		if len(differences) > 0 {
			ts.Fatalf("%s was changed:\n%s", arg, strings.Join(differences, "\n"))
		}
	}
}

// describeTree maps each name to its type, mode and content.
func describeTree(root string) (map[string]string, error) {
	tree := map[string]string{}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		text := info.Mode().String()
		switch {
		case info.Mode().IsRegular():
			content, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			text += fmt.Sprintf(" %d bytes, sha256 %.12x", len(content), sha256.Sum256(content))
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(name)
			if err != nil {
				return err
			}
			text += " -> " + target
		}
		relative, err := filepath.Rel(root, name)
		tree[relative] = text
		return err
	})
	return tree, err
}

// release VERSION ARCH FILE [PROGRAM] adds a kubelet, or another program, to $RELEASE, with the right checksum files.
func addRelease(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 || len(args) > 4 {
		ts.Fatalf("usage: release VERSION ARCH FILE [PROGRAM]")
	}
	r := mirror.Release{Version: args[0], Arch: args[1], Binary: []byte(ts.ReadFile(args[2]))}
	if len(args) == 4 {
		r.Program = args[3]
	}
	ts.Check(mirror.WriteTree(ts.Getenv("RELEASE"), r))
}

var variable = regexp.MustCompile(`\$\{[A-Z0-9_]+\}`)

// tree FILE DIR lays out a tree from a list, over what is in DIR already:
//
//	MODE PATH/                             a directory; one that is there stays as it is
//	PATH -> TARGET                         a symlink
//	MODE PATH                              a file; the lines below it, indented by a tab, are its content
//	MODE PATH = OTHER                      a file with the content of one above
//	MODE PATH = kubelet VERSION [BYTES]    a stand-in, or as much of its beginning
//
// ${NAME}, wherever it stands, is a variable of the script.
func layTree(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: tree FILE DIR")
	}
	list := variable.ReplaceAllStringFunc(ts.ReadFile(args[0]), func(v string) string {
		value := ts.Getenv(strings.Trim(v, "${}"))
		if value == "" {
			ts.Fatalf("%s is not set", v)
		}
		return value
	})
	var entries [][2]string // what it is, and its content
	for line := range strings.Lines(list) {
		if content, indented := strings.CutPrefix(line, "\t"); indented || line == "\n" {
			entries[len(entries)-1][1] += content
		} else {
			entries = append(entries, [2]string{strings.TrimSuffix(line, "\n")})
		}
	}
	contents := map[string]string{}
	for _, e := range entries {
		ts.Check(layEntry(ts, ts.MkAbs(args[1]), e[0], e[1], contents))
	}
}

// layEntry makes one thing of a tree; contents are those of the files above it.
func layEntry(ts *testscript.TestScript, dir, what, content string, contents map[string]string) error {
	if link, target, is := strings.Cut(what, " -> "); is {
		_ = os.Remove(filepath.Join(dir, link))
		return os.Symlink(target, filepath.Join(dir, link))
	}
	digits, rest, _ := strings.Cut(what, " ")
	mode, err := strconv.ParseUint(digits, 8, 9)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	file, from, copied := strings.Cut(rest, " = ")
	name := filepath.Join(dir, file)
	if strings.HasSuffix(file, "/") {
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			return nil
		}
		return errors.Join(os.MkdirAll(name, 0o755), os.Chmod(name, fs.FileMode(mode)))
	}
	words := strings.Fields(from)
	switch {
	case !copied:
	case words[0] == "kubelet":
		content = ts.ReadFile(filepath.Join(ts.Getenv("RELEASE"), words[1], "bin/linux", runtime.GOARCH, "kubelet"))
		if len(words) == 3 {
			n, err := strconv.Atoi(words[2])
			if err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			content = content[:n]
		}
	default:
		known := false
		if content, known = contents[from]; !known {
			return fmt.Errorf("%s: there is no %s above", what, from)
		}
	}
	contents[file] = content
	_ = os.Remove(name)
	return errors.Join(os.WriteFile(name, []byte(content), 0o600), os.Chmod(name, fs.FileMode(mode)))
}

// elf FILE ARCH [BYTES] writes what looks like a program for an architecture and cannot run.
func writeELF(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: elf FILE ARCH [BYTES]")
	}
	header := elfHeader(args[1])
	if header == nil {
		ts.Fatalf("elf does not know %s", args[1])
	}
	b := bytes.NewBuffer(header)
	if len(args) == 3 {
		n, err := strconv.Atoi(args[2])
		ts.Check(err)
		b.Write(make([]byte, n-b.Len()))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b.Bytes(), 0o755))
}

// elfHeader is that of a program for an architecture; nil for one that it does not know.
func elfHeader(arch string) []byte {
	machine, known := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[arch]
	if !known {
		return nil
	}
	header := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT)}
	copy(header.Ident[:], elf.ELFMAG)
	header.Ident[elf.EI_CLASS], header.Ident[elf.EI_DATA] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB)
	var b bytes.Buffer
	_ = binary.Write(&b, binary.LittleEndian, header) // a buffer takes everything
	return b.Bytes()
}

// fill FILE BYTES MODE writes a file of bytes that differ, so that a part in a wrong place is noticed.
func fill(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: fill FILE BYTES MODE")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	mode, err := strconv.ParseUint(args[2], 8, 32)
	ts.Check(err)
	content := make([]byte, n)
	for i := range content {
		content[i] = byte(i % 251)
	}
	name := ts.MkAbs(args[0])
	ts.Check(os.WriteFile(name, content, 0o600))
	ts.Check(os.Chmod(name, fs.FileMode(mode)))
}

// tmpfs DIR OPTIONS mounts a small file system for as long as the script runs. The condition "mount" reports whether that is
// allowed here.
func tmpfs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: tmpfs DIR OPTIONS")
	}
	dir := ts.MkAbs(args[0])
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, args[1]); err != nil {
		ts.Fatalf("mounting a tmpfs: %v", err)
	}
	ts.Defer(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			ts.Logf("unmounting %s: %v", dir, err)
		}
	})
}

// process is a command in the background. testscript's own "&" does not tell the exit code.
type process struct {
	cmd         *exec.Cmd
	out, errors output
	done        chan error
}

// output is what a process has printed so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func started(ts *testscript.TestScript, name string) *process {
	p := ts.Value(startedKey{}).(map[string]*process)[name]
	if p == nil {
		ts.Fatalf("nothing was started as %s", name)
	}
	return p
}

// start NAME kubeletctl ARG... runs it in the background, until ends NAME, and sets $PID.
func start(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: start NAME COMMAND ARG...")
	}
	p := &process{cmd: exec.Command(args[1], args[2:]...), done: make(chan error, 1)}
	p.cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"HOME", "NO_COLOR", "TZ", "LC_ALL", "PATH", "TMPDIR"} {
		p.cmd.Env = append(p.cmd.Env, name+"="+ts.Getenv(name))
	}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.errors
	ts.Check(p.cmd.Start())
	ts.Value(startedKey{}).(map[string]*process)[args[0]] = p
	go func() { p.done <- p.cmd.Wait() }()
	ts.Defer(func() { _ = p.cmd.Process.Kill() })
	ts.Setenv("PID", strconv.Itoa(p.cmd.Process.Pid))
}

// signal makes a command that sends a signal to what was started: interrupt NAME, which is what Ctrl-C does,
// and kill9 NAME.
func signal(s os.Signal) func(ts *testscript.TestScript, neg bool, args []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) != 1 {
			ts.Fatalf("usage: interrupt|kill9 NAME")
		}
		ts.Check(started(ts, args[0]).cmd.Process.Signal(s))
	}
}

// longest is how long a script waits for anything.
const longest = 20 * time.Second

// ends NAME CODE waits for the end of what was started, and asserts the exact exit code.
func ends(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: ends NAME CODE")
	}
	p := started(ts, args[0])
	select {
	case err := <-p.done:
		fmt.Fprint(ts.Stdout(), p.out.String())
		fmt.Fprint(ts.Stderr(), p.errors.String())
		checkCode(ts, args[1], err)
	case <-time.After(longest):
		ts.Fatalf("%s did not end in %s", args[0], longest)
	}
}

// says NAME PATTERN waits until what was started has said so, as an error or a note.
func says(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: says NAME PATTERN")
	}
	p, pattern := started(ts, args[0]), regexp.MustCompile(args[1])
	for end := time.Now().Add(longest); !pattern.MatchString(p.errors.String()); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("%s did not say %q in %s: %s", args[0], pattern, longest, p.errors.String())
		}
	}
}

// grows GLOB BYTES waits until a file of that name is that large.
func grows(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: grows GLOB BYTES")
	}
	want, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	for end := time.Now().Add(longest); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		names, err := filepath.Glob(ts.MkAbs(args[0]))
		ts.Check(err)
		for _, name := range names {
			if info, err := os.Stat(name); err == nil && info.Size() >= want {
				return
			}
		}
	}
	ts.Fatalf("no %s of %d bytes after %s", args[0], want, longest)
}
