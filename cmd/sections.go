package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/kubeletctl/kubeletctl/cmd/archive"
	"github.com/kubeletctl/kubeletctl/cmd/terminal"
	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/cri"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/install/preflight"
	"github.com/kubeletctl/kubeletctl/install/probe"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// sections are the parts of a report. Each adds its files and may take sectionTimeout.
var sections = []struct {
	name    string
	collect func(context.Context, *reporter) error
}{
	{"status", reportStatus},
	{"preflight", reportPreflight},
	{"diagnose", reportDiagnosis},
	{"history", reportHistory},
	{"spec", reportSpec},
	{"files", reportFiles},
	{"units", reportUnits},
	{"journal", reportJournal},
	{"runtime", reportRuntime},
	{"kernel", reportKernel},
}

// errTree reports that a tree has nothing that runs.
var errTree = errors.New("nothing runs in a tree")

func reportStatus(ctx context.Context, r *reporter) error {
	s, err := r.host.Status(ctx)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	printStatus(&app{Output: terminal.Output{Out: &text, Wide: true}}, s)
	r.Add("status.txt", text.Bytes())
	return r.AddJSON("status.json", s)
}

// recorded is what is installed, and the spec that was asked for.
func (r *reporter) recorded() (*plan.Generation, spec.Spec, error) {
	current, err := r.host.Installed()
	if err != nil {
		return nil, spec.Spec{}, err
	}
	s, err := recordedSpec(current)
	return current, s, err
}

// reportPreflight checks the host for the kubelet that is installed.
func reportPreflight(ctx context.Context, r *reporter) error {
	current, s, err := r.recorded()
	if err != nil {
		return err
	}
	draft, err := spec.Build(s, config.Positions{}, spec.Resolution{Artifact: release.Artifact{Version: current.Version, Arch: current.Arch}})
	if err != nil {
		return err
	}
	_, problems, err := r.host.PreflightDraft(ctx, draft)
	if err != nil {
		return err
	}
	return r.AddJSON("preflight.json", problems)
}

func reportDiagnosis(ctx context.Context, r *reporter) error {
	if !r.host.Live {
		return errTree
	}
	d, err := r.host.Diagnose(ctx)
	if err != nil {
		return err
	}
	return r.AddJSON("diagnose.json", d)
}

func reportHistory(_ context.Context, r *reporter) error {
	list, _, err := r.host.Store().History().List(0)
	if err != nil {
		return err
	}
	return r.AddJSON("history.json", list)
}

func reportSpec(_ context.Context, r *reporter) error {
	current, s, err := r.recorded()
	if err != nil {
		return err
	}
	masked := s.Masked()
	text, err := specYAML(&masked)
	if err != nil {
		return err
	}
	r.Add("spec.yaml", text)
	r.Add("arguments.txt", []byte(strings.Join(current.Args, "\n")+"\n"))
	return nil
}

// hostFiles are what a kubelet is started with, whoever has installed it; of a directory, all that is in it.
var hostFiles = []string{
	hostfs.ConfigFile, hostfs.KubeletDir + "/config.yaml", hostfs.KubeletDir + "/kubeadm-flags.env", hostfs.Kubeconfig,
	"/etc/kubernetes/kubelet.conf", "/etc/default/kubelet", "/etc/sysconfig/kubelet", hostfs.SpecFile,
	path.Join(hostfs.UnitDir, systemd.KubeletService), plan.DropInDir, "/usr/lib/systemd/system/" + systemd.KubeletService,
	"/usr/lib/systemd/system/" + systemd.KubeletService + ".d", "/run/systemd/system/" + systemd.KubeletService + ".d",
	path.Join(hostfs.UnitDir, systemd.KubeletPath), "/etc/os-release",
}

// reportFiles adds the configuration and the units as they are now.
func reportFiles(_ context.Context, r *reporter) error {
	names := slices.Clone(hostFiles)
	if current, err := r.host.Installed(); err == nil {
		for _, f := range current.Files {
			if f.Kind == plan.Text {
				names = append(names, f.Path)
			}
		}
		for _, flag := range []string{"kubeconfig", "config-dir"} {
			if value, given := current.Arg(flag); given {
				names = append(names, value)
			}
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		entries, _ := r.host.Tree.ReadDir(name)
		for _, e := range entries {
			r.copy(path.Join(name, e.Name()))
		}
		if entries == nil {
			r.copy(name)
		}
	}
	return nil
}

// copy adds a file of the host, if it exists.
func (r *reporter) copy(name string) {
	data, err := r.host.Tree.ReadRegular(name, archive.MostOfFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		r.Fail(name, hostfs.Pathless(err))
	default:
		r.Add(path.Join("files", name), data)
	}
}

func reportUnits(ctx context.Context, r *reporter) error {
	if !r.host.Live {
		return errTree
	}
	for name, args := range map[string][]string{
		"unit-cat.txt":  {"cat", "--no-pager", systemd.KubeletService},
		"unit-show.txt": {"show", "--no-pager", systemd.KubeletService},
	} {
		out, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput()
		if err != nil {
			r.Fail("systemctl "+args[0], fmt.Errorf("%w: %s", err, out))
			continue
		}
		r.Add(name, out)
	}
	return nil
}

const (
	// boots is of how many boots the journal is reported, and bootLines how much of each, in lines.
	boots     = 3
	bootLines = 4000
)

func reportJournal(ctx context.Context, r *reporter) error {
	if !r.host.Live {
		return errTree
	}
	for n := range boots {
		boot := strconv.Itoa(-n)
		var text bytes.Buffer
		o := logsOptions{JournalQuery: systemd.JournalQuery{Boot: boot, Lines: bootLines}}
		err := printLogs(ctx, &terminal.Output{Out: &text, Wide: true, Quiet: true}, o, r.host.Logs(ctx, o.JournalQuery))
		if err != nil && text.Len() == 0 && n > 0 {
			break // the journal does not go back so far, for which journalctl has several words
		}
		if text.Len() > 0 {
			r.AddMasked(numbered(-n), text.Bytes())
		}
		if err != nil {
			r.Fail("journal of boot "+boot, err)
		}
	}
	return nil
}

func reportRuntime(ctx context.Context, r *reporter) error {
	if r.host.AskRuntime == nil {
		return errors.New("only root may ask it")
	}
	var endpoints []string
	if current, err := r.host.Installed(); err == nil {
		if endpoint, err := preflight.Endpoint(current); err == nil && endpoint != "" {
			endpoints = append(endpoints, endpoint)
		}
	}
	for _, known := range cri.Known {
		if !slices.Contains(endpoints, known.Endpoint) {
			endpoints = append(endpoints, known.Endpoint)
		}
	}
	var text strings.Builder
	for _, endpoint := range endpoints {
		name, version, err := cri.Version(ctx, endpoint)
		if err != nil {
			fmt.Fprintf(&text, "%s: %v\n", endpoint, err)
			continue
		}
		fmt.Fprintf(&text, "%s: %s %s\n", endpoint, name, version)
	}
	r.Add("runtime.txt", []byte(text.String()))
	return nil
}

// kernelFiles are what the kernel says of itself: what kubelet sets or checks, and what it lives in.
var kernelFiles = []string{
	"/proc/version", "/proc/cmdline", "/proc/meminfo", "/proc/loadavg", "/proc/swaps", "/proc/cgroups", "/proc/self/cgroup", "/sys/fs/cgroup/cgroup.controllers",
	"/proc/sys/vm/overcommit_memory", "/proc/sys/vm/panic_on_oom", "/proc/sys/kernel/panic", "/proc/sys/kernel/panic_on_oops", "/proc/sys/kernel/keys/root_maxkeys",
	"/proc/sys/kernel/keys/root_maxbytes", "/proc/sys/kernel/hostname", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/bridge/bridge-nf-call-iptables",
	"/proc/sys/fs/inotify/max_user_instances", "/proc/sys/fs/inotify/max_user_watches", "/proc/sys/fs/file-nr", "/proc/sys/kernel/pid_max",
}

func reportKernel(_ context.Context, r *reporter) error {
	if !r.host.Live {
		return errTree
	}
	var text strings.Builder
	for _, name := range kernelFiles {
		data, err := r.host.Tree.ReadFile(name)
		if err != nil {
			fmt.Fprintf(&text, "== %s: %v\n", name, hostfs.Pathless(err))
			continue
		}
		fmt.Fprintf(&text, "== %s\n%s\n", name, bytes.TrimSpace(data))
	}
	root := hostfs.KubeletDir
	if current, err := r.host.Installed(); err == nil {
		root = current.KubeletRoot()
	}
	if room, err := (probe.Machine{Tree: r.host.Tree}).FileSystem(root); err == nil {
		fmt.Fprintf(&text, "== %s\n%d of %d bytes free, %d of %d inodes free\n", root, room.Free, room.Size, room.FreeFiles, room.Files)
	}
	mounts, err := r.host.Tree.ReadFile("/proc/self/mounts")
	fmt.Fprintf(&text, "== mounts of cgroups, and below %s\n", root)
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) > 2 && (strings.HasPrefix(fields[2], "cgroup") || fields[1] == root || strings.HasPrefix(fields[1], root+"/")) {
			text.WriteString(line)
		}
	}
	r.Add("kernel.txt", []byte(text.String()))
	return err
}
