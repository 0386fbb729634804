package systemd

import (
	"strings"
	"testing"
)

func TestQuoteArg(t *testing.T) {
	tests := []struct{ name, arg, want string }{
		{"plain", "--v=2", "--v=2"},
		{"empty", "", `""`},
		{"blank", "--node-labels=a=b c", `"--node-labels=a=b c"`},
		{"percent", "--x=100%", "--x=100%%"},
		{"dollar", "--x=$HOME", "--x=$$HOME"},
		{"double quote", `--x="a"`, `"--x=\"a\""`},
		{"single quote", `--x='a'`, `"--x='a'"`},
		{"backslash", `--x=a\b`, `"--x=a\\b"`},
		{"newline and tab", "--x=a\n\tb", `"--x=a\n\tb"`},
		{"control", "--x=\x01", `"--x=\x01"`},
		{"lone semicolon", ";", `";"`},
		{"not ASCII", "--x=ü", "--x=ü"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := QuoteArg(tt.arg); got != tt.want {
				t.Errorf("QuoteArg(%q) = %s, want %s", tt.arg, got, tt.want)
			}
		})
	}
}

func TestServiceFollowsItsRuntime(t *testing.T) {
	tests := []struct{ name, endpoint, want string }{
		{"containerd", "unix:///var/run/containerd/containerd.sock", "After=network-online.target containerd.service\n"},
		{"CRI-O", "unix:///var/run/crio/crio.sock", "After=network-online.target crio.service\n"},
		{"another", "unix:///run/my.sock", "After=network-online.target\n"},
		{"none", "", "After=network-online.target\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			unit := string(KubeletUnit{Binary: "/usr/local/bin/kubelet", RuntimeEndpoint: tt.endpoint}.Service())
			if !strings.Contains(unit, tt.want) {
				t.Errorf("the unit lacks %q:\n%s", tt.want, unit)
			}
		})
	}
}

// A unit ordered after what cloud-init's last stage waits for, or after the target that it is part of, would wait for
// itself when it is installed by cloud-init.
func TestServiceIsNotOrderedAfterTheEndOfTheBoot(t *testing.T) {
	u := KubeletUnit{Binary: "/usr/local/bin/kubelet", Credentials: []string{"/k"}}
	for _, text := range []string{string(u.Service()), string(u.Path())} {
		for _, late := range []string{"After=multi-user.target", "After=cloud-final.service", "After=cloud-init.target"} {
			if strings.Contains(text, late) {
				t.Errorf("%s in\n%s", late, text)
			}
		}
	}
}

func TestServiceIsWatchedOnlyIfKubeletAnswers(t *testing.T) {
	for _, answers := range []bool{false, true} {
		unit := string(KubeletUnit{Binary: "/usr/local/bin/kubelet", Watchdog: answers}.Service())
		if got := strings.Contains(unit, "\nWatchdogSec="); got != answers {
			t.Errorf("Watchdog %t:\n%s", answers, unit)
		}
	}
}

// What a sandbox usually has is what a kubelet cannot have: volumes would be empty in the containers, without an error.
func TestServiceSharesTheMountsOfTheHost(t *testing.T) {
	unit := string(KubeletUnit{Binary: "/usr/local/bin/kubelet", Watchdog: true}.Service())
	for line := range strings.Lines(unit) {
		key, _, _ := strings.Cut(line, "=")
		for _, part := range []string{"Private", "Protect", "Paths", "Directory", "FileSystem", "RootImage", "MountFlags", "User", "SUIDSGID", "Device", "UMask"} {
			if strings.Contains(key, part) && !strings.HasPrefix(line, "#") {
				t.Errorf("the unit has %s", line)
			}
		}
	}
}
