package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kubeletctl/kubeletctl/systemd"
)

// RecoverVerb is the verb with which RecoverService runs the copy of kubeletctl.
const RecoverVerb = "recover"

const (
	// recoverName is the copy of kubeletctl, in the directory of the kubelets: whatever becomes of the one that a user ran,
	// this one is there.
	recoverName = "kubeletctl-recover"
	// recoverEvery is how often it is looked whether a change was left in the middle.
	recoverEvery  = 10 * time.Second
	pendingFile   = StateDir + "/pending"
	recoveredFile = StateDir + "/recovered"
	// self is the program that runs, also when its file was replaced or deleted since.
	self = "/proc/self/exe"
)

// addRecovery adds to a generation what undoes an interrupted change: a copy of this program and the unit that runs it.
// They come first, so that they are in place before anything else changes.
func (h *Host) addRecovery(g *Generation) error {
	bin := path.Join(path.Dir(g.binary().Path), recoverName)
	info, err := os.Stat(self)
	if err != nil {
		return err
	}
	sum, err := loadFingerprints(h.Tree).sum(self, info)
	if err != nil {
		return fmt.Errorf("reading this program: %w", err)
	}
	unit := path.Join(UnitDir, systemd.RecoverService)
	g.Files = slices.DeleteFunc(g.Files, func(f File) bool { return f.Kind == Program || f.Path == unit })
	g.Units = slices.DeleteFunc(g.Units, func(u Unit) bool { return u.Name == systemd.RecoverService })
	g.Files = slices.Insert(g.Files, 0,
		File{Path: bin, Kind: Program, Mode: 0o755, SHA256: sum, source: self},
		textFile(unit, 0o644, systemd.RecoverUnit(pendingFile, bin, RecoverVerb)))
	g.Units = slices.Insert(g.Units, 0, Unit{Name: systemd.RecoverService, Enabled: true})
	return nil
}

// Recover ends a change that a killed run, or a power cut, left in the middle: one that was committed goes on to its end,
// any other is undone. It returns a line that says what it did, or nothing. The caller holds the lock.
//
// With queue, kubelet's start is asked for and not waited for: at boot it waits for us.
func (h *Host) Recover(ctx context.Context, queue bool) (string, error) {
	n, pending, err := h.Store().Pending()
	if err == nil && !pending {
		err = h.unstage()
	}
	if err != nil || !pending {
		return "", err
	}
	if err := h.dropTemporary(n); err != nil {
		return "", err
	}
	done, err := h.recover(ctx, n, queue)
	if err != nil {
		return "", err
	}
	h.disarm(ctx)
	return done, nil
}

// temporary are the names that files and symlinks have before they are renamed to their own; see package renameio.
func temporary(name string) ([]string, error) {
	return filepath.Glob(filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+"[0-9]*"))
}

// dropTemporary deletes what a run that was killed had not renamed yet.
func (h *Host) dropTemporary(n int) error {
	record := fmt.Sprintf("%s/generations/%d/", StateDir, n)
	names := []string{record + "generation.json", record + "reverted.json", record + "before.json", record + "wanted.json"}
	for _, read := range []func(int) (*Generation, error){h.Store().Before, h.Store().Wanted} {
		if g, err := read(n); err == nil {
			for _, f := range g.Files {
				names = append(names, f.Path)
			}
		}
	}
	for _, p := range names {
		name, err := h.Tree.Locate(p)
		if err != nil {
			return err
		}
		left, err := temporary(name)
		if err != nil {
			return err
		}
		for _, l := range left {
			if err := os.RemoveAll(l); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h *Host) recover(ctx context.Context, n int, queue bool) (string, error) {
	current, err := h.Store().Current()
	if err != nil {
		return "", err
	}
	if current != nil && current.Snapshot {
		c, err := h.PrepareUninstall(ctx, false)
		if err != nil {
			return "", err
		}
		if _, err := h.finish(ctx, c, ApplyOptions{Queue: queue}, Removed); err != nil {
			return "", err
		}
		return "an uninstall was interrupted; it is done now", nil
	}
	if current != nil && current.Number == n {
		return "", h.Store().Settle(n) // the cut came after the commit
	}
	before, err := h.Store().Before(n)
	if err != nil {
		return "", err
	}
	wanted, err := h.Store().Wanted(n)
	if err != nil {
		return "", err
	}
	wanted.Reason = "kubeletctl was interrupted"
	if err := h.undo(ctx, wanted, before, current, queue); err != nil {
		return "", fmt.Errorf("undoing the interrupted change to generation %d: %w", n, err)
	}
	return fmt.Sprintf("an earlier run was interrupted while it changed this host; undone: %s", describe(before)), nil
}

// Leave keeps a line about a recovery for the next run to tell.
func (h *Host) Leave(line string) error {
	name, err := h.Tree.Locate(recoveredFile)
	if err != nil {
		return err
	}
	return writeAtomic(name, 0o644, nil, strings.NewReader(time.Now().UTC().Format(time.RFC3339)+": "+line+"\n"))
}

// Left returns the line that Leave kept; nothing when there is none.
func (h *Host) Left() string {
	name, err := h.Tree.Locate(recoveredFile)
	if err != nil {
		return ""
	}
	text, _ := os.ReadFile(name)
	return strings.TrimSpace(string(text))
}

// Told forgets the line of Leave.
func (h *Host) Told() error {
	name, err := h.Tree.Locate(recoveredFile)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return removeFile(name)
}
