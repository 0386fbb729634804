package install

import (
	"bytes"
	"errors"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/store"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// A node that a change has cordoned is uncordoned, or tried again: by systemd while the API server is away, or refuses it and may just have
// started; by the next run alone when it has refused it for long, or when nobody can ask.
func TestComeBack(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name         string
		code         int // that the API server answers; 0: it is away
		refusedSince time.Time
		change       func(h *Host) error
		done, again  bool
	}{
		{name: "it answers", code: 200, done: true},
		{name: "it is away", again: true},
		{name: "it is not ready", code: 503, again: true},
		{name: "it is busy", code: 429, again: true},
		{name: "it refuses at first", code: 401, again: true},
		{name: "it refuses still", code: 403, refusedSince: time.Now().Add(-comeBackRefused)},
		{name: "it was refused for long, and is well again", code: 200, refusedSince: time.Now().Add(-time.Hour), done: true},
		{name: "no credentials", code: 200, change: func(h *Host) error { return h.Tree.Remove(hostfs.Kubeconfig) }},
		{name: "a damaged record", code: 200, change: func(h *Host) error {
			return h.Tree.WriteFile(store.CordonFile, 0o600, nil, strings.NewReader("{"))
		}},
		{name: "a recovery that knows nothing of it", change: func(h *Host) error {
			return h.Tree.WriteFile(path.Join(hostfs.UnitDir, systemd.RecoverService), 0o644, nil, strings.NewReader("[Unit]\n"))
		}},
	} {
		h, _, server := joinedHost(t, func(string) (int, string) { return tt.code, "{}" })
		if tt.code == 0 {
			server.Close()
		}
		units := newFake(h.Tree)
		units.armed = true // by the try before
		h.Units = units
		recovery := systemd.RecoverUnit([]string{store.PendingFile, store.CordonFile}, "/recover")
		if err := errors.Join(h.Tree.MkdirAll(hostfs.UnitDir, 0o755), h.Tree.WriteFile(path.Join(hostfs.UnitDir, systemd.RecoverService), 0o644, nil, bytes.NewReader(recovery))); err != nil {
			t.Fatal(err)
		}
		if err := h.Tree.MkdirAll(hostfs.StateDir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := h.Store().Cordon().Save(store.Cordon{Node: "worker-1", Kubeconfig: hostfs.Kubeconfig, RefusedSince: tt.refusedSince}); err != nil {
			t.Fatal(err)
		}
		if tt.change != nil {
			if err := tt.change(h); err != nil {
				t.Fatal(err)
			}
		}
		said := ""
		h.Note = func(line string) { said = line }
		h.comeBack(t.Context(), true)
		left, err := h.Store().Cordon().Load()
		if done := left == nil && err == nil; done != tt.done || units.armed != tt.again || strings.Contains(said, "is uncordoned") != tt.done {
			t.Errorf("%s: done %t, armed %t: %s", tt.name, done, units.armed, said)
		}
	}
}

// A join that was killed is removed, left to kubelet, or has its token deleted, depending on how far it had come.
func TestSettleJoin(t *testing.T) {
	t.Parallel()
	const half = hostfs.KubeletDir + "/.bootstrap-kubeconfig4711"
	kubeconfig := func(h *Host) string {
		data, err := h.Tree.ReadFile(hostfs.Kubeconfig)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	for _, tt := range []struct {
		name  string
		files []string // of kubelet's, beside what is half written
		gone  []string
		left  bool // it is still recorded
	}{
		{name: "before kubelet had anything", files: []string{hostfs.ClusterCA}, gone: []string{half, hostfs.ClusterCA}},
		{name: "while kubelet asks for its certificate", files: []string{hostfs.ClusterCA, hostfs.BootstrapKubeconfig}, gone: []string{half}, left: true},
		{name: "after kubelet has it", files: []string{hostfs.ClusterCA, hostfs.BootstrapKubeconfig, hostfs.Kubeconfig}, gone: []string{half, hostfs.BootstrapKubeconfig}},
	} {
		b := newBench(t, "v1.37.2")
		joined := b.spec("v1.37.2", nil)
		joined.Standalone = false
		b.install(joined)
		h, _, _ := joinedHost(t, func(string) (int, string) { return 200, "{}" })
		text := kubeconfig(h)
		for _, file := range append(tt.files, half) {
			if err := b.Tree.WriteFile(file, 0o600, nil, strings.NewReader(text)); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Store().Joining().Save(store.Joining{Files: []string{hostfs.ClusterCA, hostfs.BootstrapKubeconfig}, New: []string{hostfs.ClusterCA, hostfs.BootstrapKubeconfig}, Bootstrap: hostfs.BootstrapKubeconfig}); err != nil {
			t.Fatal(err)
		}
		b.Cluster().settleJoin()
		for _, file := range append(tt.files, half) {
			_, err := b.Tree.Lstat(file)
			if gone := err != nil; gone != slices.Contains(tt.gone, file) {
				t.Errorf("%s: %s is gone: %t", tt.name, file, gone)
			}
		}
		if j, err := b.Store().Joining().Load(); (j != nil) != tt.left || err != nil {
			t.Errorf("%s: recorded %+v, %v", tt.name, j, err)
		}
	}
}
