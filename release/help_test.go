package release

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func helpText(more string) string {
	var b strings.Builder
	b.WriteString("Words about --what it is.\n\nUsage:\n  kubelet [flags]\n\nFlags:\n")
	for i := range 50 {
		fmt.Fprintf(&b, "      --flag-%d string   about --no-flag\n", i)
	}
	b.WriteString("      --config string   a file\n      --kubeconfig string   a file\n  -h, --help   this\n  -v, --v Level   how much\n      --alone\n      --odd[=false]   a switch\n")
	return b.String() + more
}

func TestParseHelp(t *testing.T) {
	h, err := ParseHelp([]byte(helpText("      --feature-gates mapStringBool   gates:\n                One=true|false (BETA - default=true)\n" +
		"                kube:Two=true|false (ALPHA - default=false)\n                Old=true|false (DEPRECATED - default=false)\n" +
		"                Later=true|false (BETA - default=false), or Later=true|false (BETA - default=true) if --all-are>=1.9\n")))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"flag-0", "flag-49", "config", "help", "v", "alone", "odd", "feature-gates"} {
		if !h.Flags[name] {
			t.Errorf("--%s is missing", name)
		}
	}
	if h.Flags["what"] || h.Flags["no-flag"] || len(h.Flags) != 57 {
		t.Errorf("%d flags: %v", len(h.Flags), h.Flags)
	}
	if want := map[string]bool{"One": true, "Two": false, "Old": false, "Later": false}; !maps.Equal(h.Gates, want) {
		t.Errorf("gates: %v", h.Gates)
	}
	for name, text := range map[string]string{"empty": "", "another program": strings.ReplaceAll(helpText(""), "--config ", "--x "), "few": "  --config x\n  --kubeconfig y\n"} {
		if _, err := ParseHelp([]byte(text)); err == nil {
			t.Errorf("%s: taken for a kubelet's help", name)
		}
	}
}

func TestReadHelp(t *testing.T) {
	write := func(script string) string {
		name := filepath.Join(t.TempDir(), "kubelet")
		if err := os.WriteFile(name, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
		return name
	}
	if h, err := ReadHelp(t.Context(), write("cat >&2 <<'E'\n"+helpText("")+"E\n")); err != nil || !h.Flags["config"] {
		t.Errorf("printed on stderr: %v, %v", h, err)
	}
	for script, want := range map[string]string{"exit 3": "exit status 3", "echo no such flag >&2; exit 1": "exit status 1: no such flag", "echo hello": "not the help of a kubelet"} {
		if _, err := ReadHelp(t.Context(), write(script)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", script, err)
		}
	}
}

func TestRefusedFlags(t *testing.T) {
	name := filepath.Join(t.TempDir(), "kubelet")
	script := `#!/bin/sh
case "$1" in
--good=1) ;;
--many) echo 'Usage of it' >&2; echo 'F1124 12:00:00.0 1 x.go:1] invalid argument "many" for "--max-pods" flag: not a number' >&2; exit 255 ;;
*) echo 'E1124 12:00:00.0 1 x.go:1] "command failed" err="failed to parse kubelet flag: unknown flag: --bad"' >&2; exit 1 ;;
esac
[ "$2" = --help ] || exit 9
cat <<'E'
` + helpText("") + "E\n"
	if err := os.WriteFile(name, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadHelp(t.Context(), name, "--good=1"); err != nil {
		t.Error(err)
	}
	for flag, want := range map[string]string{"--bad": "unknown flag: --bad", "--many": `invalid argument "many" for "--max-pods" flag`} {
		_, err := ReadHelp(t.Context(), name, flag)
		var refused *RefusedError
		if !errors.As(err, &refused) || refused.Said != want {
			t.Errorf("%s: got %v, want %s", flag, err, want)
		}
	}
}
