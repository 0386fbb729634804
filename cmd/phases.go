package cmd

import (
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/kubeletctl/kubeletctl/install"
)

// phases tells what a change is doing while nothing else is said: on a terminal one line that counts the seconds, in a log a
// line when a phase begins and one every ten seconds while it lasts.
type phases struct {
	app   *app
	plain bool

	ended   chan struct{} // closed when the phase is over; nil outside a phase
	running sync.WaitGroup
}

func (a *app) newPhases() *phases { return &phases{app: a, plain: !a.redraws()} }

// redraws reports whether stderr is a terminal on which a line can be written anew.
func (a *app) redraws() bool { return terminal(a.err) && os.Getenv("TERM") != "dumb" }

// phaseText says what a phase does, for people.
func phaseText(p install.Phase, c *install.Change) string {
	kubelet := fmt.Sprintf("kubelet %s", c.Want.Version)
	switch {
	case p == install.Rehearsing:
		return "rehearsing " + kubelet
	case p == install.Waiting:
		return "waiting for " + kubelet + " to be healthy"
	case p == install.RollingBack:
		return "rolling back"
	case c.Want.Snapshot:
		return "uninstalling kubelet"
	case c.IsRestart():
		return "restarting " + kubelet
	}
	return "switching to " + kubelet
}

// begin ends the phase before and shows the next one.
func (p *phases) begin(text string) {
	p.end()
	if !p.app.talks() {
		return
	}
	p.show(text)
	p.ended = make(chan struct{})
	p.running.Go(func() { p.count(text, p.ended) })
}

// count says again and again how long the phase has taken.
func (p *phases) count(text string, ended <-chan struct{}) {
	began, every := time.Now(), time.Second
	if p.plain {
		every = 10 * time.Second
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ended:
			return
		case <-ticker.C:
			p.show(fmt.Sprintf("%s (%.0f s)", text, time.Since(began).Seconds()))
		}
	}
}

func (p *phases) show(text string) {
	if p.plain {
		p.app.note(text)
	} else {
		p.app.drawLine("kubeletctl: " + text)
	}
}

// end takes the line away.
func (p *phases) end() {
	if p.ended == nil {
		return
	}
	close(p.ended)
	p.running.Wait()
	p.ended = nil
	p.app.clearLine()
}

// eraseLine takes away what the line of a terminal shows.
const eraseLine = "\r\x1b[K"

// drawLine shows a line on a terminal that the next output takes the place of.
func (a *app) drawLine(line string) {
	a.noting.Lock()
	defer a.noting.Unlock()
	if limit := width(a.err); limit > 0 {
		line = cut(line, limit)
	}
	fmt.Fprint(a.err, eraseLine+line)
	a.drawn = true
}

func (a *app) clearLine() {
	a.noting.Lock()
	defer a.noting.Unlock()
	a.wipe()
}

// wipe does what clearLine does for those that hold the lock.
func (a *app) wipe() {
	if a.drawn {
		fmt.Fprint(a.err, eraseLine)
		a.drawn = false
	}
}
