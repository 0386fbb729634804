package kubeletlog

import (
	"iter"
	"strings"
	"time"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// Event is the next thing in a log: an entry, or that a run of kubelet began or ended, whichever is not nil.
type Event struct {
	Entry        *Entry
	Began, Ended *Run
}

// Run is what the log tells of one run of kubelet.
type Run struct {
	// First is when its first line was logged, and Last when systemd says that it ended, else when its last line was.
	First, Last time.Time
	// PID is the first process that logged something; 0 where that is not known.
	PID int
	// Version is the release that kubelet says it is of; empty while it has not said so.
	Version string
	// Exit is systemd's word of how the process ended ("code=exited, status=1/FAILURE"), and Reason says why, in one line; empty where
	// nothing tells.
	Exit, Reason string

	words     LastWords
	lastError *Entry
	// whole reports that the run before was read, or that systemd said that it starts this one.
	whole                          bool
	stopped, exited, ended, failed bool
}

// Lasted is for how long the run lasted; false when that is not known. Its version is among the first things that a kubelet says.
func (r *Run) Lasted() (time.Duration, bool) {
	return r.Last.Sub(r.First), (r.whole || r.Version != "") && !r.First.IsZero() && !r.Last.IsZero()
}

// Read makes events of the lines of a journal, oldest first, and keeps none. The last run ends only when systemd says so. An error of
// the lines comes last, with an empty event.
func Read(lines iter.Seq2[systemd.Entry, error]) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		var (
			parser Parser
			tell   systemd.Runs
			run    *Run
		)
		entries := func(list []Entry) bool {
			for _, e := range list {
				run.add(e)
				if !yield(Event{Entry: &e}, nil) {
					return false
				}
			}
			return true
		}
		end := func(over bool) bool {
			return run == nil || entries(parser.Close()) && (!over && !run.ended || yield(Event{Ended: run.explain()}, nil))
		}
		for l, err := range lines {
			if err != nil {
				_ = end(false) && yield(Event{}, err)
				return
			}
			if tell.Begins(l) {
				if !end(true) {
					return
				}
				run = &Run{First: l.Time, PID: l.PID, whole: run != nil}
				if !yield(Event{Began: run}, nil) {
					return
				}
			}
			if !entries(parser.Add(l)) {
				return
			}
		}
		end(false)
	}
}

// add takes note of an entry of the run.
func (r *Run) add(e Entry) {
	switch starts := e.OfSystemd && beginsWith(e.Message, starting); {
	case starts && r.Last.IsZero():
		r.whole = true
	case !starts && !r.exited && !r.ended:
		r.Last = e.Time
	}
	if version := e.KubeletVersion(); version != "" {
		r.Version = version
	}
	if e.OfSystemd {
		exited, found := strings.CutPrefix(e.Message, mainExited)
		switch {
		case found:
			r.Exit, r.exited = exited, true
		case strings.HasPrefix(e.Message, "Stopping "):
			r.stopped = true
		case strings.HasPrefix(e.Message, "Failed with result "):
			r.ended, r.failed = true, true
		case e.Message == "Deactivated successfully.", e.Message == "Succeeded.":
			r.ended = true
		}
	}
	if r.stopped { // what it says from now on is no reason
		return
	}
	r.words.Add(e)
	if e.Severity == Error {
		r.lastError = &e
	}
}

// starting are how systemd begins to say that it starts a unit, which may be the next run already.
var starting = []string{"Starting ", "Started ", "Scheduled restart job"}

// explain sets the reason why the run ended.
func (r *Run) explain() *Run {
	words, found := r.words.Ending()
	signal := signalOf(r.Exit)
	switch {
	case found:
		r.Reason = words.Text()
	case signal != "":
		r.Reason = "killed by " + signal
	case r.stopped && !r.failed:
		r.Reason = "it was stopped"
	case r.failed && !r.stopped && r.lastError != nil:
		r.Reason = r.lastError.Text()
	}
	r.Reason = hideLines(r.Reason)
	return r
}

// KubeletVersion is the release that kubelet says in this entry that it is of; empty when it does not (cmd/kubelet/app/server.go;
// in a text up to 1.20).
func (e Entry) KubeletVersion() string {
	const words = "Kubelet version"
	if e.Message == words {
		for _, v := range e.Values {
			if v.Key == "kubeletVersion" || v.Key == "version" {
				return v.Value
			}
		}
	}
	version, found := strings.CutPrefix(e.Message, words+": ")
	if found && strings.HasPrefix(version, "v1.") {
		return version
	}
	return ""
}

// Masked is the entry without secrets.
func (e Entry) Masked() Entry {
	e.Message, e.Err = hideLines(e.Message), hideLines(e.Err)
	values := make([]Value, 0, len(e.Values))
	for _, v := range e.Values {
		masked, _ := config.MaskFields(map[string]any{v.Key: v.Value})[v.Key].(string)
		if strings.Contains(masked, "\n") { // such as a configuration
			masked = string(config.HideSecrets([]byte(masked)))
		}
		values = append(values, Value{v.Key, config.HideInLine(masked)})
	}
	e.Values = values
	return e
}

// hideLines masks what is secret in words of several lines, of which none says anything of the next one, unless a key has begun.
func hideLines(text string) string {
	if strings.Contains(text, "PRIVATE KEY-----") {
		return config.Hidden
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = config.HideInLine(line)
	}
	return strings.Join(lines, "\n")
}
