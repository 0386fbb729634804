package diagnose

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
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
	// Cause is one sentence, without a full stop.
	Cause string `json:"cause,omitempty"`
	// Words are kubelet's own, or systemd's, without secrets; empty when there are none.
	Words string `json:"words,omitempty"`
	// Place is the flag or the line of a file that the words speak of, without secrets; empty when they do not tell.
	Place string `json:"place,omitempty"`
	// Foreign reports that the place is in a file that is not ours.
	Foreign bool `json:"foreign,omitempty"`
	// Remedy is what to do, as a script for a shell: commands, and comments for what is to be decided.
	Remedy []string `json:"remedy"`
	// Ended reports that kubelet, or systemd of it, has said why it ended.
	Ended bool `json:"-"`
}

// ReadMore is the remedy where no rule knows the failure.
const ReadMore = "journalctl -u kubelet.service -n 200 --no-pager"

// Hint is the diagnosis as one line: its cause, and where to read what to do.
func (d Diagnosis) Hint() string {
	switch {
	case d.Foreign && d.Cause != "":
		return d.Cause + ": " + ForeignHint
	case d.Foreign:
		return ForeignHint
	case d.Cause == "":
		return "journalctl -u kubelet.service shows all that kubelet said"
	}
	return d.Cause + "; kubeletctl diagnose says what to do"
}

// Kubelet says why a kubelet is not well, by the entries of one run, and which line of what it was started with is to blame. ours is
// what it was installed as; nil for a kubelet that kubeletctl has not installed.
func Kubelet(o observe.Observer, entries []kubeletlog.Entry, ours *plan.Generation) Diagnosis {
	d := Explain(entries)
	if ours == nil {
		return d
	}
	reason, _ := kubeletlog.Reason(entries)
	if d.Place = hide(ForeignCause(o, reason.Text(), ours)); d.Place != "" {
		d.Foreign = true
		return d
	}
	d.Place = hide(Cause(o, reason.Text(), ours))
	return d
}

// Explain says why kubelet is not well, by the entries of one run. What no rule knows has kubelet's own words and no cause.
func Explain(entries []kubeletlog.Entry) Diagnosis {
	d := Diagnosis{Remedy: []string{ReadMore}}
	var candidates []kubeletlog.Entry
	ending, ended := kubeletlog.Ending(entries)
	switch {
	case ended:
		candidates = []kubeletlog.Entry{ending}
	case slices.ContainsFunc(entries, failed): // what ended it is not among its errors
		ended = true
	default:
		candidates = recentErrors(entries)
	}
	d.Ended = ended
	minor := minorOf(entries)
	for _, r := range rules {
		if !ended && r.Severity == Fatal || r.Since > 0 && minor > 0 && minor < r.Since || r.Until > 0 && minor > r.Until {
			continue
		}
		for _, e := range candidates {
			if found := r.match(e, entries); found != nil {
				d.Rule, d.Severity, d.Words = r.ID, r.Severity, hide(e.Text())
				d.Cause, d.Remedy = hide(fill(r.Cause, found)), r.remedy(found)
				return d
			}
		}
	}
	reason, _ := kubeletlog.Reason(entries)
	d.Words = hide(reason.Text())
	return d
}

// failed reports whether an entry is systemd's word that the unit has failed.
func failed(e kubeletlog.Entry) bool {
	return e.OfSystemd && strings.HasPrefix(e.Message, "Failed with result ")
}

// match returns what the pattern of a rule finds in an entry; nil when the rule does not fit.
func (r rule) match(e kubeletlog.Entry, all []kubeletlog.Entry) []string {
	found := regexp.MustCompile(r.Pattern).FindStringSubmatch(e.Text())
	if found == nil || r.With == "" {
		return found
	}
	with := regexp.MustCompile(r.With)
	for _, e := range all {
		if with.MatchString(e.Text()) {
			return found
		}
	}
	return nil
}

// remedy are the lines of a remedy, in which what a log has said is one word for a shell.
func (r rule) remedy(found []string) []string {
	var words, lines []string
	for _, word := range found {
		words = append(words, ShellQuote(hide(word)))
	}
	for _, line := range r.Remedy {
		lines = append(lines, fill(line, words))
	}
	return lines
}

// fill puts what was found in the place of $1, $2 ...; any other $ stays.
func fill(text string, found []string) string {
	return placeholder.ReplaceAllStringFunc(text, func(name string) string {
		if n, err := strconv.Atoi(name[1:]); err == nil && n < len(found) {
			return found[n]
		}
		return name
	})
}

var placeholder = regexp.MustCompile(`\$\d`)

// ShellQuote writes a word so that a shell reads it back.
func ShellQuote(word string) string {
	if strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-") == "" && word != "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func hide(text string) string { return string(config.HideSecrets([]byte(text))) }

// recent is for how long an error counts that did not end kubelet.
const recent = time.Minute

// recentErrors are the errors of the end of a log, the newest first.
func recentErrors(entries []kubeletlog.Entry) (list []kubeletlog.Entry) {
	for _, e := range slices.Backward(entries) {
		if entries[len(entries)-1].Time.Sub(e.Time) > recent {
			return list
		}
		if e.Severity == kubeletlog.Error && !e.OfSystemd {
			list = append(list, e)
		}
	}
	return list
}

// minorOf is the release of the kubelet that logged something; 0 when it did not say.
func minorOf(entries []kubeletlog.Entry) config.Minor {
	for _, e := range entries {
		for _, v := range e.Values {
			if v.Key == "kubeletVersion" || v.Key == "version" {
				if minor, known := release.MinorOf(v.Value); known && e.Message == "Kubelet version" {
					return config.Minor(minor)
				}
			}
		}
	}
	return 0
}
