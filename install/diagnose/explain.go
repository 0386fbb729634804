package diagnose

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/kubeletlog"
	"github.com/kubeletctl/kubeletctl/install/observe"
	"github.com/kubeletctl/kubeletctl/install/plan"
	"github.com/kubeletctl/kubeletctl/release"
)

// Diagnosis is why a kubelet is not well. Its JSON form is a stable interface.
type Diagnosis struct {
	// Rule is the rule that knows the failure; empty when none does, and then Severity and Cause are, too.
	Rule     string   `json:"rule,omitempty"`
	Severity Severity `json:"severity,omitempty"`
	// Cause is one sentence, without a full stop. Likely reports that it is a conclusion: kubelet does not say it itself, and
	// nothing that was looked at confirms it.
	Cause  string `json:"cause,omitempty"`
	Likely bool   `json:"likely,omitempty"`
	// Unready reports that the node is not Ready while the cause lasts.
	Unready bool `json:"-"`
	// Words are kubelet's own, or systemd's, without secrets; empty when there are none.
	Words string `json:"words,omitempty"`
	// Errors are the last ones of a kubelet that runs, where no rule knows a cause.
	Errors []string `json:"errors,omitempty"`
	// Place is the flag or the line of a file that the words speak of, without secrets; empty when they do not tell.
	Place string `json:"place,omitempty"`
	// Foreign reports that the place is in a file that is not ours.
	Foreign bool `json:"foreign,omitempty"`
	// Checked is what was looked at to be sure, and what was seen.
	Checked []string `json:"checked,omitempty"`
	// Remedy is what to do, as a script for a shell: commands, and comments for what is to be decided.
	Remedy []string `json:"remedy"`
	// Notes are what kubelet complains of and works on with.
	Notes []string `json:"notes,omitempty"`
	// Ended reports that kubelet, or systemd of it, has said why it ended.
	Ended bool `json:"-"`
}

// ReadMore is the remedy where no rule knows the failure.
const ReadMore = "journalctl -u kubelet.service -n 200 --no-pager"

// Hint is the diagnosis as one line: its cause, and where to read what to do.
func (d Diagnosis) Hint() string {
	switch {
	case d.Foreign && d.Cause != "":
		return d.Says() + ": " + ForeignHint
	case d.Foreign:
		return ForeignHint
	case d.Cause == "":
		return "journalctl -u kubelet.service shows all that kubelet said"
	}
	return d.Says() + "; kubeletctl diagnose says what to do"
}

// Says is the cause, and how sure it is.
func (d Diagnosis) Says() string {
	if d.Likely {
		return "likely: " + d.Cause
	}
	return d.Cause
}

// Run is what is known of one run of a kubelet.
type Run struct {
	Log []kubeletlog.Entry
	// Started is when it began, and Now when it is looked at; zero for the times of the first and the last entry.
	Started, Now time.Time
	// Ready reports that the API server calls the node Ready at this moment. Complaint is what it says of one that is not, or why
	// it cannot be asked; empty for nothing.
	Ready     bool
	Complaint string
}

// Startup is the time after its start in which a kubelet complains of what is not there yet.
const Startup = time.Minute

// recent is for how long an error counts that did not end kubelet.
const recent = 2 * time.Minute

func (r Run) started() time.Time {
	if i := slices.IndexFunc(r.Log, timed); r.Started.IsZero() && i >= 0 {
		return r.Log[i].Time
	}
	return r.Started
}

func (r Run) now() time.Time {
	if !r.Now.IsZero() {
		return r.Now
	}
	for _, e := range slices.Backward(r.Log) {
		if timed(e) {
			return e.Time
		}
	}
	return time.Time{}
}

func timed(e kubeletlog.Entry) bool { return !e.Time.IsZero() }

// Subject is the kubelet of a host.
type Subject struct {
	observe.Observer
	// Host answers what a rule probes; nil probes nothing.
	Host Host
	// Ours is what was installed; nil for a kubelet that kubeletctl has not installed.
	Ours *plan.Generation
}

// Explain says why the kubelet is not well, by one run of it, and which line of what it was started with is to blame.
func (s Subject) Explain(ctx context.Context, run Run) Diagnosis {
	d := explain(ctx, run, s.Host, ownerOf(s.Ours))
	reason, _ := kubeletlog.Reason(run.Log)
	if !d.Ended {
		reason = kubeletlog.Entry{Message: d.Words}
	}
	if s.Ours == nil {
		d.Place = hide(s.anyPlace(reason.Text()))
		return d
	}
	place, foreign := s.locate(reason.Text(), d.Ended, d.Cause != "")
	d.Place, d.Foreign = hide(place), foreign
	return d
}

// Explain says why a kubelet is not well, by one run in a journal of whatever host. What no rule knows has kubelet's own words and
// no cause.
func Explain(run Run) Diagnosis { return explain(context.Background(), run, nil, anybody) }

func explain(ctx context.Context, run Run, host Host, owner owner) Diagnosis {
	d := Diagnosis{Remedy: []string{ReadMore}}
	ending, ended := kubeletlog.Ending(run.Log)
	d.Ended = ended || slices.ContainsFunc(run.Log, failed)
	texts := run.texts(d.Ended)
	if ended {
		texts = []said{{text: ending.Text(), full: ending.Line(), of: ending}}
	}
	minor := minorOf(run.Log)
	serverDown := false // although it is a pod that this kubelet starts: what keeps pods from that is the cause, then
	for _, r := range matchers() {
		if !r.isOf(minor) || d.Ended && r.Severity == Harmless || d.Rule != "" && r.Severity != Harmless && !(serverDown && r.Pods) {
			continue
		}
		words, found := r.find(texts, run, d.Ended)
		if found == nil {
			continue
		}
		if r.Severity == Harmless {
			d.Notes = append(d.Notes, hide(fill(r.Cause, found))+" ("+r.ID+")")
			continue
		}
		verdict, checked := r.check(ctx, host, found)
		if r.Sure && verdict != confirmed {
			continue
		}
		if checked != "" {
			d.Checked = append(d.Checked, hide(checked))
		}
		if verdict != refuted {
			d.Rule, d.Severity, d.Words, d.Likely = r.ID, r.Severity, hide(words), verdict != confirmed && !r.Stated
			d.Unready, serverDown = r.Unready || serverDown, r.ServerPod && verdict == confirmed
			d.Cause, d.Remedy = hide(fill(r.Cause, found)), named(host, owner.remedy(r.rule, found, r.advice(ctx, host, found)))
			if d.Ended {
				return d
			}
		}
	}
	if d.Rule == "" {
		reason, _ := kubeletlog.Reason(run.Log)
		d.Words = hide(reason.Text())
	}
	if d.Rule == "" && !d.Ended {
		d.Errors = unexplained(texts, run)
	}
	return d
}

// failed reports whether an entry is systemd's word that the unit has failed.
func failed(e kubeletlog.Entry) bool {
	return e.OfSystemd && strings.HasPrefix(e.Message, "Failed with result ")
}

// said is an entry in the forms that rules look at. The full form has its keys and values, too.
type said struct {
	text, full string
	of         kubeletlog.Entry
}

// texts are what a run has said that may tell what is wrong with it, the newest first, each but once. What ended one is not among its
// errors, but may have been said by the loader, which has no form.
func (r Run) texts(ended bool) (list []said) {
	if !ended && r.Complaint != "" {
		list = append(list, said{r.Complaint, r.Complaint, kubeletlog.Entry{Time: r.now(), Severity: kubeletlog.Error}})
	}
	seen := map[string]bool{}
	for _, e := range slices.Backward(r.Log) {
		s := said{e.Text(), e.Line(), e}
		if !e.OfSystemd && !seen[s.full] && (!ended || e.Severity == 0) {
			seen[s.full] = true
			list = append(list, s)
		}
	}
	if !ended { // for what can be seen without a word of kubelet
		list = append(list, said{of: kubeletlog.Entry{Time: r.now(), Severity: kubeletlog.Info}})
	}
	return list
}

// matcher is a rule with its patterns, which are compiled when they are needed first: most are of a kubelet that has ended.
type matcher struct {
	rule
	pattern, with func() *regexp.Regexp
}

var matchers = sync.OnceValue(func() (list []matcher) {
	when := func(pattern string) func() *regexp.Regexp {
		return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
	}
	for _, r := range rules {
		list = append(list, matcher{r, when(r.Pattern), when(r.With)})
	}
	return list
})

// isOf reports whether a rule is about a release; 0 is any.
func (r rule) isOf(minor config.Minor) bool {
	return minor == 0 || minor >= r.Since && (r.Until == 0 || minor <= r.Until)
}

// find returns what the pattern of a rule finds, and where; nil when the rule does not fit.
func (r matcher) find(texts []said, run Run, ended bool) (words string, found []string) {
	if r.Severity == Fatal && !ended || r.Unready && run.Ready {
		return "", nil
	}
	for _, s := range texts {
		if !ended && !r.counts(s.of, run) {
			continue
		}
		words = s.text
		if found = r.pattern().FindStringSubmatch(s.text); found == nil {
			words, found = s.full, r.pattern().FindStringSubmatch(s.full)
		}
		if found != nil && r.accompanied(run) {
			return words, found
		}
	}
	return "", nil
}

// counts reports whether an entry of a run that goes on is of the kind, and of the time, that a rule is about.
func (r rule) counts(e kubeletlog.Entry, run Run) bool {
	switch age := run.now().Sub(e.Time); {
	case r.Severity == Harmless:
		return true
	case e.Severity == kubeletlog.Info && !r.Info, e.Severity == 0, age > recent && !r.Sure:
		return false
	}
	return r.Severity != AtStart || e.Time.Sub(run.started()) > Startup
}

// accompanied reports whether the other entry is there that a rule wants.
func (r matcher) accompanied(run Run) bool {
	return r.With == "" || slices.ContainsFunc(run.Log, func(e kubeletlog.Entry) bool { return r.with().MatchString(e.Text()) })
}

// mostErrors is of how many errors a diagnosis speaks that has no cause for them.
const mostErrors = 3

// unexplained are the last errors of a run that goes on, but for those that are known to do no harm.
func unexplained(texts []said, run Run) (list []string) {
	for _, s := range texts {
		excused := slices.ContainsFunc(matchers(), func(r matcher) bool {
			return (r.Severity == AtStart || r.Severity == Harmless) && r.pattern().MatchString(s.full)
		})
		if s.of.Severity == kubeletlog.Error && !excused && run.now().Sub(s.of.Time) <= recent && len(list) < mostErrors {
			list = append(list, hide(s.text))
		}
	}
	return list
}

// fill puts what was found in the place of $1, $2 ...; any other $ stays.
func fill(text string, found []string) string {
	return os.Expand(text, func(name string) string {
		if n, err := strconv.Atoi(name); err == nil && n < len(found) {
			return found[n]
		}
		return "$" + name
	})
}

func hide(text string) string { return string(config.HideSecrets([]byte(text))) }

// minorOf is the release of the kubelet that logged something; 0 when it did not say.
func minorOf(entries []kubeletlog.Entry) config.Minor {
	for _, e := range entries {
		if minor, known := release.MinorOf(e.KubeletVersion()); known {
			return config.Minor(minor)
		}
	}
	return 0
}
