package terminal

import (
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/kubeletctl/kubeletctl/release"
)

// Progress shows a download: a bar on a terminal; elsewhere a line every ten percent, though not more than one a second, or
// every ten seconds, and one at the end.
type Progress struct {
	w     io.Writer
	bar   *progressbar.ProgressBar
	plain bool
	began time.Time
	last  time.Time
	tenth int64
}

// NewProgress returns nil when nothing is to be shown.
func (o *Output) NewProgress() *Progress {
	if !o.Talks() {
		return nil
	}
	return &Progress{w: o.Err, plain: !o.redraws()}
}

// Show is the callback of a release.Client.
func (p *Progress) Show(at release.Progress) {
	if p.began.IsZero() {
		p.began, p.last = time.Now(), time.Now()
		if p.plain {
			fmt.Fprintf(p.w, "kubeletctl: downloading %s%s\n", at.URL, extent(at))
		} else {
			p.bar = progressbar.NewOptions64(at.Total, progressbar.OptionSetWriter(p.w), progressbar.OptionSetDescription("downloading "+program(at)),
				progressbar.OptionShowBytes(true), progressbar.OptionUseIECUnits(true), progressbar.OptionThrottle(100*time.Millisecond),
				progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false), // [3s:19s]
				progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth())
		}
	}
	if p.bar != nil {
		p.bar.Describe("downloading " + program(at) + remaining(at, time.Since(p.began)))
		_ = p.bar.Set64(at.Done) // past the maximum it returns an error, which is no reason to fail a download
		return
	}
	tenth := int64(-1)
	if at.Total > 0 {
		tenth = at.Done * 10 / at.Total
	}
	since := time.Since(p.last)
	if tenth > p.tenth && (since >= time.Second || at.Done == at.Total) || since >= 10*time.Second {
		p.tenth, p.last = max(tenth, p.tenth), time.Now()
		line := release.FormatSize(at.Done)
		if at.Total > 0 {
			line = fmt.Sprintf("%3d %%  %s of %s", at.Done*100/at.Total, line, release.FormatSize(at.Total))
		}
		fmt.Fprintf(p.w, "kubeletctl: %s\n", line)
	}
}

// program is what a download is called at its source.
func program(at release.Progress) string {
	name, _, _ := strings.Cut(path.Base(at.URL), "?")
	return name
}

// remaining says how long the rest of a download will take when it goes on as it did; nothing when that cannot be told yet.
func remaining(at release.Progress, elapsed time.Duration) string {
	const early = 2 * time.Second
	fetched, left := at.Done-at.Resumed, at.Total-at.Done
	if elapsed < early || fetched <= 0 || left <= 0 {
		return ""
	}
	rest := elapsed.Seconds() * float64(left) / float64(fetched)
	if rest < 100 {
		return fmt.Sprintf(", %.0f s left", rest)
	}
	return fmt.Sprintf(", %.0f min left", rest/60)
}

// Finish takes the bar away. Another download may follow.
func (p *Progress) Finish() {
	if p == nil {
		return
	}
	if p.bar != nil {
		_ = p.bar.Exit()
		fmt.Fprint(p.w, eraseLine)
	}
	*p = Progress{w: p.w, plain: p.plain}
}

func extent(at release.Progress) string {
	text := ""
	if at.Total > 0 {
		text = fmt.Sprintf(" (%s", release.FormatSize(at.Total))
		if at.Resumed > 0 {
			text += fmt.Sprintf(", %s already downloaded", release.FormatSize(at.Resumed))
		}
		text += ")"
	}
	return text
}
