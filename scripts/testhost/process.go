package testhost

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// A process is a PID with the time at which it started, because PIDs are used
// again: only a process whose start time fits is signalled.
type process struct {
	PID   int    `json:"pid,omitempty"`
	Start string `json:"start,omitempty"` // in clock ticks since the machine booted
}

// processOf returns the running process with that PID; the zero process if there is none.
func processOf(pid int) process {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}
	}
	// The second field is the name, in parentheses, and may hold anything.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return process{}
	}
	return process{PID: pid, Start: fields[19]}
}

func (p process) alive() bool { return p.PID != 0 && processOf(p.PID) == p }

// signal does nothing to a process that is gone.
func (p process) signal(sig syscall.Signal) error {
	if !p.alive() {
		return nil
	}
	if err := syscall.Kill(p.PID, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signalling process %d: %w", p.PID, err)
	}
	return nil
}

// children lists the running children of p.
func (p process) children() []process {
	if !p.alive() {
		return nil
	}
	list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", p.PID, p.PID))
	if err != nil {
		return nil
	}
	var found []process
	for _, f := range strings.Fields(string(list)) {
		pid, _ := strconv.Atoi(f)
		if c := processOf(pid); c.PID != 0 {
			found = append(found, c)
		}
	}
	return found
}
