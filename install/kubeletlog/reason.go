package kubeletlog

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// commandFailed is the message with which a kubelet ends from 1.26 on; the reason is the error that comes with it
// (k8s.io/component-base/cli/run.go).
const commandFailed = "command failed"

// lastWords are messages right after which a kubelet ends, of all releases since 1.18, but for those of severity F, in lower case
// (cmd/kubelet/app/server.go, pkg/kubelet/kubelet.go, pkg/kubelet/server/server.go).
var lastWords = []string{
	commandFailed, "failed to run kubelet", "failed to start containermanager", "failed to start cadvisor", "failed to initialize internal modules",
	"failed to listen and serve", "failed to parse kubelet flag", "failed to validate kubelet flags", "failed to load kubelet config file",
	"failed to validate kubelet configuration", "failed to construct kubelet dependencies", "unknown command",
	"the currently active client certificate has expired and the server is responsive, exiting",
	"no valid client certificate is found and the server is responsive, exiting",
	"failed to register cri auth plugins", "failed to serve", "failed to create listener for pod", "kubelet failed to get node info",
	"failed to create a new kubelet configuration",
}

// killed are words of systemd about what it, or the kernel, did to a process, which itself cannot know why.
var killed = []string{"Watchdog timeout", "killed by the OOM killer", "start operation timed out"}

// Reason returns the entry of one run that says why kubelet ended: the one from Ending, else the last error in the log, unless a
// signal ended kubelet. It returns false if there is neither.
func Reason(entries []Entry) (Entry, bool) {
	w := lastWordsOf(entries)
	if e, found := w.Ending(); found || w.signalled != nil {
		return e, found
	}
	for _, e := range slices.Backward(entries) {
		if e.Severity == Error && !e.OfSystemd {
			return e, true
		}
	}
	return Entry{}, false
}

// Ending returns the entry of one run that shows that kubelet ended, and why; false if there is none. It looks for, in this order:
//
//   - what systemd says of a process that it or the kernel had to end, whatever that said while it was ended;
//   - the last words of a kubelet that ends by itself, a panic among them: the first of them, since others follow while it ends.
//     Of one that a signal ended, only a panic is such, which may end with one;
//   - what systemd says of a process that it could not start, or else the status by which it tells the step that failed.
func Ending(entries []Entry) (Entry, bool) {
	return lastWordsOf(entries).Ending()
}

func lastWordsOf(entries []Entry) *LastWords {
	w := &LastWords{}
	for _, e := range entries {
		w.Add(e)
	}
	return w
}

// LastWords is Ending entry by entry, of which it keeps five at most.
type LastWords struct{ killed, signalled, last, notStarted, stepFailed *Entry }

// Add considers the next entry of the run.
func (w *LastWords) Add(e Entry) {
	for _, kind := range []struct {
		first    **Entry
		decisive bool
	}{{&w.killed, e.wasKilled()}, {&w.signalled, e.wasSignalled()}, {&w.last, e.isLast()}, {&w.notStarted, e.notStarted()},
		{&w.stepFailed, e.stepFailed()}} {
		if kind.decisive && *kind.first == nil {
			*kind.first = &e
		}
	}
}

// Ending is the entry that shows that kubelet ended, and why; false if there was none.
func (w *LastWords) Ending() (Entry, bool) {
	last := w.last
	if w.signalled != nil && last != nil && !(last.Crash && strings.HasPrefix(w.signalled.Message, mainExited+"code=dumped")) {
		last = nil
	}
	if e := cmp.Or(w.killed, last, w.notStarted, w.stepFailed); e != nil {
		return *e, true
	}
	return Entry{}, false
}

func (e Entry) wasKilled() bool {
	return e.OfSystemd && slices.ContainsFunc(killed, func(words string) bool { return strings.Contains(e.Message, words) })
}

// mainExited is how systemd begins to say how the process ended.
const mainExited = "Main process exited, "

// wasSignalled reports whether systemd says that a signal ended the process.
func (e Entry) wasSignalled() bool {
	exit, found := strings.CutPrefix(e.Message, mainExited)
	return e.OfSystemd && found && signalOf(exit) != ""
}

// signalOf is the signal that systemd says has ended a process: SIGKILL of "code=killed, status=9/KILL"; empty for none.
func signalOf(exit string) string {
	_, name, found := strings.Cut(exit, "/")
	if !found || !strings.HasPrefix(exit, "code=killed,") && !strings.HasPrefix(exit, "code=dumped,") {
		return ""
	}
	return "SIG" + name
}

// isLast reports whether kubelet ends right after the entry. Go's panics, klog's Fatal and cobra's "Error:", which has no source,
// are such.
func (e Entry) isLast() bool {
	return e.Severity == Fatal || e.Severity == Error && (e.Source == "" || beginsWith(strings.ToLower(e.Message), lastWords))
}

// notStarted reports whether systemd says that it could not start the process, and why.
func (e Entry) notStarted() bool {
	return e.OfSystemd && strings.HasPrefix(e.Message, "Failed ") && !beginsWith(e.Message, noReasons)
}

// stepFailed reports whether systemd says, by the status of a process, that a step before its program was executed has failed: 200 to
// 245 (systemd.exec(5)). Which one it was, and why, is missing where journald did not know the unit of that process any more.
func (e Entry) stepFailed() bool {
	exit, found := strings.CutPrefix(e.Message, mainExited+"code=exited, status=")
	number, _, _ := strings.Cut(exit, "/")
	status, err := strconv.Atoi(number)
	return e.OfSystemd && found && err == nil && status >= 200 && status <= 245
}

// noReasons are how systemd begins to say that something has failed, without a reason of its own, or that does not keep a process
// from being started: older ones cannot reset the device list in a container.
var noReasons = []string{"Failed with result ", "Failed to start ", "Failed to reset "}
