package testhost

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options say what kind of host to start. The zero value is a plain host.
type Options struct {
	Name       string                  // also its host name; default: a unique one
	Binds      []string                // "outside:inside", bound read-only
	Containerd bool                    // containerd is enabled; it is installed and configured in any case
	Seed       map[string][]byte       // cloud-init's NoCloud files (user-data, meta-data); nil: cloud-init is off
	Prepare    func(root string) error // called with the host's root before its first boot
	Log        io.Writer               // gets the console output, too, until the host is off; it is always kept for Console
	Keep       bool                    // the host outlives this process; a later one takes it over with Open
}

// Host is a machine that was started. Its methods may be called at the same time.
type Host struct {
	dir string
	log io.Writer

	mu    sync.Mutex
	state state
	ended chan struct{} // closed when systemd-nspawn ended and Log has all output; nil if another process started it
}

// state is what another process needs to know in order to use or remove a host.
type state struct {
	Name   string   `json:"name"`
	Binds  []string `json:"binds,omitempty"`
	Owner  process  `json:"owner"`
	Kept   bool     `json:"kept"`
	Nspawn process  `json:"nspawn"`
	Init   process  `json:"init"`
}

var validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)

// Start makes a host and boots it. It returns when systemd has started all it
// wants to, even if some units failed; with a Seed already when D-Bus answers,
// because cloud-init may take as long as it likes. Nothing is left behind when
// Start fails.
func Start(ctx context.Context, o Options) (h *Host, err error) {
	if err := Supported(); err != nil {
		return nil, err
	}
	if o.Name == "" {
		o.Name = "host-" + strings.ToLower(rand.Text()[:8])
	}
	if !validName.MatchString(o.Name) {
		return nil, fmt.Errorf("%q can't be a host name: lower-case letters, digits and dashes, please", o.Name)
	}
	base, err := Base(ctx)
	if err != nil {
		return nil, err
	}
	// What can't be removed of somebody else's host is no reason not to start this one.
	_ = Sweep()

	h, err = create(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("creating host %s: %w", o.Name, err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("starting host %s: %w\n%s", o.Name, err, h.Console())
			err = errors.Join(err, h.Close())
			h = nil
		}
	}()
	if err := symlink(base, filepath.Join(h.dir, "base")); err != nil {
		return h, err
	}
	if err := h.mount(); err != nil {
		return h, err
	}
	if err := populate(h.Root(), o); err != nil {
		return h, err
	}
	if err := h.boot(ctx, o.Seed != nil); err != nil {
		return h, err
	}
	return h, h.update(func(s *state) { s.Kept = o.Keep })
}

func hostsDir() string { return filepath.Join(CacheDir(), "hosts") }

// create makes the host's directory together with the record of its owner; the
// lock keeps a sweep from seeing the one without the other.
func create(ctx context.Context, o Options) (*Host, error) {
	if err := os.MkdirAll(hostsDir(), 0o755); err != nil {
		return nil, err
	}
	locked, err := lock(ctx, hostsDir()+".lock")
	if err != nil {
		return nil, err
	}
	defer locked.Close()
	h := &Host{dir: filepath.Join(hostsDir(), fmt.Sprintf("%s-%d", o.Name, os.Getpid())), log: o.Log}
	if err := os.Mkdir(h.dir, 0o755); err != nil {
		return nil, err
	}
	for _, sub := range []string{"root", "upper", "work", "disk"} {
		if err := os.Mkdir(filepath.Join(h.dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	return h, h.update(func(s *state) {
		*s = state{Name: o.Name, Binds: o.Binds, Owner: processOf(os.Getpid())}
	})
}

// update changes the host's state and its record on disk.
func (h *Host) update(change func(*state)) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	change(&h.state)
	b, err := json.Marshal(h.state)
	if err != nil {
		return err
	}
	path := filepath.Join(h.dir, "state.json")
	if err := os.WriteFile(path+".new", b, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// Open takes over a host that was started with Keep.
func Open(name string) (*Host, error) {
	hosts, err := List()
	if err != nil {
		return nil, err
	}
	for _, h := range hosts {
		if h.state.Name == name && h.state.Kept {
			return h, nil
		}
	}
	return nil, fmt.Errorf("there is no host %q", name)
}

// List returns all hosts of the cache directory, those of other processes, too.
func List() ([]*Host, error) {
	records, err := filepath.Glob(filepath.Join(hostsDir(), "*", "state.json"))
	if err != nil {
		return nil, err
	}
	var hosts []*Host
	for _, path := range records {
		h := &Host{dir: filepath.Dir(path)}
		b, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // just removed
		}
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(b, &h.state); err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		hosts = append(hosts, h)
	}
	return hosts, nil
}

// Name is the host's name.
func (h *Host) Name() string { return h.state.Name }

// Root is the host's root directory as seen from outside. /run and /tmp are file
// systems of the inside only.
func (h *Host) Root() string { return filepath.Join(h.dir, "root") }

// machine is unique on this machine, which a name is not.
func (h *Host) machine() string { return "testhost-" + filepath.Base(h.dir) }

// mount puts the host's root together; a second call changes nothing.
func (h *Host) mount() error {
	if mounted, err := mountsBelow(h.Root()); err != nil || len(mounted) > 0 {
		return err
	}
	layers := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s",
		filepath.Join(h.dir, "base"), filepath.Join(h.dir, "upper"), filepath.Join(h.dir, "work"))
	if err := syscall.Mount("overlay", h.Root(), "overlay", 0, layers); err != nil {
		return fmt.Errorf("mounting an overlay in %s: %w", h.dir, err)
	}
	return h.mountDisk()
}

// diskSize is that of the file system of kubelet's and containerd's directories, in the form of tmpfs. Only what is written
// takes memory.
const diskSize = "8g"

// mountDisk gives kubelet and containerd a file system of their own: containerd's overlays can't be stacked upon the root's, and
// kubelet evicts pods when the file system it is on is nearly full, which must not depend on the disk of this machine.
func (h *Host) mountDisk() error {
	disk := filepath.Join(h.dir, "disk")
	if mounted, err := mountsBelow(disk); err != nil {
		return err
	} else if len(mounted) == 0 {
		if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "mode=0755,size="+diskSize); err != nil {
			return fmt.Errorf("mounting a tmpfs in %s: %w", h.dir, err)
		}
	}
	for _, sub := range []string{"containerd", "kubelet"} {
		source, target := filepath.Join(disk, sub), filepath.Join(h.Root(), "var/lib", sub)
		if err := errors.Join(os.MkdirAll(source, 0o755), os.MkdirAll(target, 0o755)); err != nil {
			return err
		}
		if err := syscall.Mount(source, target, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("binding %s: %w", target, err)
		}
	}
	return nil
}

// PID is the host's PID 1 as seen from outside, 0 when the host is off.
func (h *Host) PID() int {
	if p := h.init(); p.alive() {
		return p.PID
	}
	return 0
}

// init is what runs as PID 1. Early in a boot there is no record of it yet; when
// systemd-nspawn was killed and left its child behind, the record is all there is.
func (h *Host) init() process {
	h.mu.Lock()
	defer h.mu.Unlock()
	if kids := h.state.Nspawn.children(); len(kids) > 0 {
		return kids[0]
	}
	return h.state.Init
}

// Boot boots the host with the disk it has, after PowerOff, PowerCut or a reboot
// from inside, which ends with the host off. It waits for all units, as Start does.
func (h *Host) Boot(ctx context.Context) error {
	if h.PID() != 0 {
		return fmt.Errorf("host %s is running", h.Name())
	}
	if err := h.mount(); err != nil {
		return err
	}
	if err := h.boot(ctx, false); err != nil {
		return fmt.Errorf("booting host %s: %w\n%s", h.Name(), err, h.Console())
	}
	return nil
}

func (h *Host) boot(ctx context.Context, early bool) (err error) {
	groups, err := makeCgroups(h.machine())
	if err != nil {
		return fmt.Errorf("making control groups: %w", err)
	}
	console, err := os.OpenFile(filepath.Join(h.dir, "console.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer console.Close()

	// The shell enters the control groups and becomes systemd-nspawn.
	cmd := exec.Command("/bin/sh", "-ec", `for g in $GROUPS_OF_HOST; do echo $$ >"$g/cgroup.procs"; done; exec "$@"`, "sh",
		"systemd-nspawn", "--quiet", "--settings=no", "--directory="+h.Root(),
		"--machine="+h.machine(), "--hostname="+h.Name(), "--register=no", "--keep-unit",
		"--private-network", "--resolv-conf=off", "--timezone=off", "--link-journal=no",
		"--capability=all", "--drop-capability=CAP_SYS_TIME", "--system-call-filter=@known", "--kill-signal=SIGRTMIN+4",
		"--bind=/dev/kmsg")
	for _, b := range h.state.Binds {
		cmd.Args = append(cmd.Args, "--bind-ro="+b)
	}
	cmd.Args = append(cmd.Args, initPath)
	cmd.Env = append(os.Environ(), "GROUPS_OF_HOST="+strings.Join(groups, " "))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// A file, not a pipe, so that the console goes on when this process is gone.
	cmd.Stdout = console
	if h.log != nil {
		cmd.Stdout = io.MultiWriter(console, h.log)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return err
	}
	cmd.WaitDelay = time.Second
	nspawn, ended := processOf(cmd.Process.Pid), make(chan struct{})
	go func() {
		_ = cmd.Wait() // whether it still runs is read from /proc, as for hosts of other processes
		close(ended)
	}()
	defer func() {
		if err != nil {
			err = errors.Join(err, h.PowerCut())
		}
	}()
	err = h.update(func(s *state) { s.Nspawn, s.Init, h.ended = nspawn, process{}, ended })
	if err != nil {
		return err
	}
	return h.waitBooted(ctx, nspawn, early)
}

func (h *Host) waitBooted(ctx context.Context, nspawn process, early bool) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	recorded, last := process{}, "no systemd yet"
	for {
		if !nspawn.alive() {
			return errors.New("systemd-nspawn ended")
		}
		// Before it is systemd it may still have the outside's file systems, and
		// the question would go to the machine's own systemd.
		init := h.init()
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", init.PID))
		if string(comm) == "systemd\n" {
			if init != recorded {
				if err := h.update(func(s *state) { s.Init = init }); err != nil {
					return err
				}
				recorded = init
			}
			var done bool
			if done, last = h.booted(ctx, early); done {
				return nil
			}
			if last == "maintenance" {
				return errors.New("systemd went to the emergency shell")
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for systemd (%s): %w", last, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (h *Host) booted(ctx context.Context, early bool) (done bool, answer string) {
	if early {
		res, err := h.Run(ctx, "busctl", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
			"org.freedesktop.DBus.Peer", "Ping")
		return err == nil && res.ExitCode == 0, strings.TrimSpace(res.Stderr)
	}
	res, err := h.Run(ctx, "systemctl", "is-system-running")
	answer = strings.TrimSpace(res.Stdout)
	return err == nil && (answer == "running" || answer == "degraded"), answer
}

// PowerOff shuts the host down: units are stopped in order. It returns when the
// host is off, at once if it was.
func (h *Host) PowerOff(ctx context.Context) error {
	const poweroff = syscall.Signal(34 + 4) // SIGRTMIN+4: systemd starts poweroff.target
	if err := h.init().signal(poweroff); err != nil {
		return err
	}
	for h.running() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("powering off host %s: %w", h.Name(), ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

// PowerCut ends the host on the spot: nothing inside gets to run. With its PID 1
// the kernel kills all that runs inside. A second call changes nothing.
func (h *Host) PowerCut() error {
	start := time.Now()
	for h.running() {
		if err := h.init().signal(syscall.SIGKILL); err != nil {
			return err
		}
		if time.Since(start) > 5*time.Second && h.PID() == 0 {
			if err := h.nspawn().signal(syscall.SIGKILL); err != nil {
				return err
			}
		}
		if time.Since(start) > 10*time.Second {
			return fmt.Errorf("host %s does not end", h.Name())
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

func (h *Host) running() bool {
	if h.nspawn().alive() || h.init().alive() {
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended != nil {
		<-h.ended
	}
	return false
}

func (h *Host) nspawn() process {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state.Nspawn
}

// Console returns the last 200 lines of what the host's console showed.
func (h *Host) Console() string {
	b, err := os.ReadFile(filepath.Join(h.dir, "console.log"))
	if err != nil {
		return ""
	}
	return lastLines(b, 200)
}

// Close cuts the host's power and removes all that is left of it. A second call
// does nothing; after an error it tries again.
func (h *Host) Close() error {
	if err := h.PowerCut(); err != nil {
		return err
	}
	// Its control groups have no process left; its directory, which is how a sweep
	// finds a host, goes last.
	if err := removeCgroups(h.machine()); err != nil {
		return fmt.Errorf("removing the control groups of host %s: %w", h.Name(), err)
	}
	// systemd-nspawn leaves this one when it is killed.
	if err := os.Remove(filepath.Join("/run/systemd/nspawn/propagate", h.machine())); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := removeTree(h.dir); err != nil {
		return fmt.Errorf("removing host %s: %w", h.Name(), err)
	}
	return nil
}
