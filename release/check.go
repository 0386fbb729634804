package release

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// machines are the architectures as an ELF header has them.
var machines = map[string]struct {
	machine elf.Machine
	class   elf.Class
	data    elf.Data
}{
	"amd64":   {elf.EM_X86_64, elf.ELFCLASS64, elf.ELFDATA2LSB},
	"arm":     {elf.EM_ARM, elf.ELFCLASS32, elf.ELFDATA2LSB},
	"arm64":   {elf.EM_AARCH64, elf.ELFCLASS64, elf.ELFDATA2LSB},
	"ppc64le": {elf.EM_PPC64, elf.ELFCLASS64, elf.ELFDATA2LSB},
	"s390x":   {elf.EM_S390, elf.ELFCLASS64, elf.ELFDATA2MSB},
}

// versionTimeout is how long "kubelet --version" may take. It takes some 50 ms.
const versionTimeout = 10 * time.Second

// Check looks whether the file at path is a kubelet v for arch: it reads the
// ELF header and, when this machine can run it, looks for its loader and runs it
// with --version. So the file must be executable by then, and its digest must
// have been checked.
func Check(ctx context.Context, path, arch string, v Version) error {
	runs, err := runsHere(path, arch)
	if err != nil || !runs {
		return err
	}
	said, err := runVersion(ctx, path, "--version")
	if err != nil {
		return err
	}
	return checkSaid(path, strings.TrimSuffix(said, "\n"), "Kubernetes "+v.String())
}

// toolVersion is how each of Tools is asked for its version, with a JSON document as the answer.
var toolVersion = map[string][]string{Kubeadm: {"version", "-o", "json"}, Kubectl: {"version", "--client", "-o", "json"}}

// checkTool does for one of Tools what Check does for a kubelet.
func checkTool(ctx context.Context, program, path, arch string, v Version) error {
	runs, err := runsHere(path, arch)
	if err != nil || !runs {
		return err
	}
	said, err := runVersion(ctx, path, toolVersion[program]...)
	if err != nil {
		return err
	}
	var answer struct {
		ClientVersion struct {
			GitVersion string `json:"gitVersion"`
		} `json:"clientVersion"`
	}
	if json.Unmarshal([]byte(said), &answer) != nil {
		return checkSaid(path, strings.TrimSpace(said), v.String())
	}
	return checkSaid(path, answer.ClientVersion.GitVersion, v.String())
}

// Check looks whether the file at path is the program that the artifact is: see the function Check.
func (a Artifact) Check(ctx context.Context, path string) error {
	if a.isTool() {
		return checkTool(ctx, a.Program, path, a.Arch, a.Version)
	}
	return Check(ctx, path, a.Arch, a.Version)
}

// checkSaid holds what a program says of itself against what it should.
func checkSaid(path, said, want string) error {
	if said != want {
		return &VerifyError{path, fmt.Sprintf("reports %q, want %q", strings.TrimSpace(said), want),
			"the file is another version than its name says: check the source"}
	}
	return nil
}

// runsHere checks the header of a program, and its loader where this machine can run it, which it reports.
func runsHere(path, arch string) (bool, error) {
	if err := CheckHeader(path, arch); err != nil || arch != runtime.GOARCH {
		return false, err
	}
	return true, checkLoader(path)
}

func CheckHeader(path, arch string) error {
	want, known := machines[arch]
	if !known {
		return fmt.Errorf("%q is not an architecture of a kubelet", arch)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, 512)
	n, err := io.ReadFull(f, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return err
	}
	head = head[:n]
	wrong := func(problem string) error {
		return &VerifyError{path, problem, "the source does not have a program for linux/" + arch + " there: try another one"}
	}
	if !bytes.HasPrefix(head, []byte(elf.ELFMAG)) {
		return wrong("it is " + looksLike(head) + ", not a program")
	}
	if len(head) < 20 {
		return wrong("it is a program that ends within its header")
	}
	class, data := elf.Class(head[elf.EI_CLASS]), elf.Data(head[elf.EI_DATA])
	var order binary.ByteOrder = binary.LittleEndian
	if data == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	kind, machine := elf.Type(order.Uint16(head[16:])), elf.Machine(order.Uint16(head[18:]))
	if kind != elf.ET_EXEC && kind != elf.ET_DYN {
		return wrong("it is a part of a program, not a program")
	}
	for name, m := range machines {
		if m.machine == machine && m.class == class && m.data == data {
			if name == arch {
				return nil
			}
			return wrong(fmt.Sprintf("it is a program for %s, want one for %s", name, arch))
		}
	}
	return wrong(fmt.Sprintf("it is a program for %s %s, want one for %s (%s)", machine, class, arch, want.machine))
}

// checkLoader reports whether this machine has the loader that a dynamically linked
// program names. Upstream's kubelets need glibc's up to 1.37 and none from 1.38
// on (kubernetes/kubernetes#135870); without it the kernel says only "no such
// file or directory", of a file that everybody can see.
func checkLoader(path string) error {
	program, err := elf.Open(path)
	if err != nil {
		return &VerifyError{Name: path, Problem: fmt.Sprintf("its headers are damaged: %v", pathless(err))}
	}
	defer program.Close()
	for _, segment := range program.Progs {
		if segment.Type != elf.PT_INTERP || segment.Filesz > 4<<10 {
			continue
		}
		name, err := io.ReadAll(segment.Open())
		if err != nil {
			return &VerifyError{Name: path, Problem: fmt.Sprintf("its headers are damaged: %v", err)}
		}
		loader := string(bytes.TrimRight(name, "\x00"))
		if _, err := os.Stat(loader); err != nil {
			return &hinted{fmt.Errorf("%s is linked dynamically and cannot run here: its loader %s: %w", path, loader, pathless(err)),
				"kubelets of upstream need glibc up to 1.37, which Alpine and other systems with musl do not have; from 1.38 on they are static"}
		}
	}
	return nil
}

// runVersion returns what a program prints that is asked for its version with these arguments.
func runVersion(ctx context.Context, path string, args ...string) (string, error) {
	return program{path: path}.say(ctx, args...)
}

// A program is run as the caller or, where it was opened for that, as nobody, who may not get to where it lies.
type program struct {
	path   string
	nobody *os.File
}

func (p program) command(ctx context.Context, args []string) *exec.Cmd {
	if p.nobody == nil {
		return exec.CommandContext(ctx, p.path, args...)
	}
	const nobody = 65534
	cmd := exec.CommandContext(ctx, "/proc/self/fd/3", args...)
	cmd.ExtraFiles = []*os.File{p.nobody}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return cmd
}

func (p program) say(ctx context.Context, args ...string) (string, error) {
	path := p.path
	asked := strings.Join(args, " ")
	bounded, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	for {
		var said, complained first4k
		cmd := p.command(bounded, args)
		cmd.Env = []string{"LC_ALL=C"}
		cmd.Dir = "/"
		cmd.Stdout, cmd.Stderr = &said, &complained
		cmd.WaitDelay = time.Second
		err := cmd.Run()
		switch exit := (*exec.ExitError)(nil); {
		case err == nil:
			return string(said), nil
		case ctx.Err() != nil:
			return "", fmt.Errorf("running %s %s: %w", path, asked, contextError(ctx))
		case bounded.Err() != nil:
			return "", &VerifyError{Name: path, Problem: fmt.Sprintf("it did not answer %s in %s", asked, versionTimeout)}
		case errors.Is(err, syscall.ETXTBSY):
			// Some other child of ours still holds the file open for writing, from
			// between fork and exec (golang/go#22315). That is over in a moment.
			time.Sleep(5 * time.Millisecond)
		case errors.Is(err, os.ErrPermission):
			return "", &hinted{fmt.Errorf("running %s %s: %w", path, asked, pathless(err)),
				"it may lack the x permission, or its file system may be mounted noexec"}
		case errors.As(err, &exit):
			problem := fmt.Sprintf("it does not answer %s: %v", asked, err)
			if line, _, _ := strings.Cut(strings.TrimSpace(string(complained)), "\n"); line != "" {
				problem += ": " + line
			}
			return "", &VerifyError{Name: path, Problem: problem}
		default:
			return "", &VerifyError{Name: path, Problem: fmt.Sprintf("it does not run: %v", pathless(err))}
		}
	}
}

// VersionOf asks a kubelet that is on this machine for its version. What a
// vendor appends to it ("v1.36.3+k3s1") does not count.
func VersionOf(ctx context.Context, path string) (Version, error) {
	return program{path: path}.version(ctx)
}

// VersionByNobody is [VersionOf] for a kubelet that is not trusted: where this is root, it runs as nobody.
func VersionByNobody(ctx context.Context, path string) (Version, error) {
	if os.Geteuid() != 0 {
		return VersionOf(ctx, path)
	}
	file, err := os.Open(path)
	if err != nil {
		return Version{}, err
	}
	defer file.Close()
	return program{path, file}.version(ctx)
}

func (p program) version(ctx context.Context) (Version, error) {
	said, err := p.say(ctx, "--version")
	if err != nil {
		return Version{}, err
	}
	text, found := strings.CutPrefix(strings.TrimSpace(said), "Kubernetes ")
	if !found {
		return Version{}, &VerifyError{Name: p.path, Problem: fmt.Sprintf("reports %q, which is not a kubelet version", strings.TrimSpace(said))}
	}
	text, _, _ = strings.Cut(text, "+")
	return ParseVersion(text)
}

// first4k keeps the beginning of what is written to it.
type first4k []byte

func (b *first4k) Write(p []byte) (int, error) {
	if room := 4<<10 - len(*b); room > 0 {
		*b = append(*b, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

const text = "text"

// looksLike says what the beginning of a file that is no kubelet looks like.
// People have saved the XML error page of the frozen bucket as their kubelet
// and executed it (kubernetes/kubernetes#127796).
func looksLike(head []byte) string {
	start := strings.ToLower(string(bytes.TrimSpace(head[:min(len(head), 512)])))
	has := func(prefixes ...string) bool {
		for _, p := range prefixes {
			if strings.HasPrefix(start, p) {
				return true
			}
		}
		return false
	}
	switch {
	case len(head) == 0:
		return "an empty file"
	case has("<?xml", "<error"):
		return "an XML page, as servers send it with an error"
	case has("<"):
		return "an HTML page"
	case has("#!"):
		return "a script"
	case has("{"):
		return "a JSON document"
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return "a gzip archive"
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return "a zip archive"
	case bytes.HasPrefix(head, []byte(elf.ELFMAG)):
		return "a program"
	case bytes.ContainsFunc(head, func(r rune) bool { return r < ' ' && !strings.ContainsRune("\t\r\n", r) }):
		return "some other binary file"
	}
	return text
}
