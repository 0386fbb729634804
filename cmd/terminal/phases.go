package terminal

import (
	"fmt"
	"sync"
	"time"
)

// Phases tells what a change is doing while nothing else is said: on a terminal one line that counts the seconds, in a log a
// line when a phase begins and one every ten seconds while it lasts.
type Phases struct {
	output *Output
	plain  bool

	ended   chan struct{} // closed when the phase is over; nil outside a phase
	running sync.WaitGroup
}

// NewPhases returns what tells them where this output goes.
func (o *Output) NewPhases() *Phases { return &Phases{output: o, plain: !o.redraws()} }

// Begin ends the phase before and shows the next one.
func (p *Phases) Begin(text string) {
	p.End()
	if !p.output.Talks() {
		return
	}
	p.show(text)
	p.ended = make(chan struct{})
	p.running.Go(func() { p.count(text, p.ended) })
}

// count says again and again how long the phase has taken.
func (p *Phases) count(text string, ended <-chan struct{}) {
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

func (p *Phases) show(text string) {
	if p.plain {
		p.output.Note(text)
	} else {
		p.output.drawLine("kubeletctl: " + text)
	}
}

// End takes the line away.
func (p *Phases) End() {
	if p.ended == nil {
		return
	}
	close(p.ended)
	p.running.Wait()
	p.ended = nil
	p.output.clearLine()
}
