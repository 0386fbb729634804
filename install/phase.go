package install

// Phase is a part of a change that may take a while.
type Phase string

// The phases of a change, in their order; a change need not have all of them.
const (
	Rehearsing Phase = "rehearsing"
	Draining   Phase = "draining"
	// Switching is where the second half begins: from here on the change has to get to an end.
	Switching   Phase = "switching"
	Waiting     Phase = "waiting" // for kubelet to be healthy
	RollingBack Phase = "rolling-back"
)

func (o ApplyOptions) enter(p Phase) {
	if o.Phase != nil {
		o.Phase(p)
	}
}
