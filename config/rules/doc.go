// Package rules knows what a kubelet of each release refuses although every name exists and every value has its type: values
// out of range, values that do not go together, feature gates that are gone. Package config knows names and types.
//
// # Where the rules come from
//
// They are read from the sources of each minor: pkg/kubelet/apis/config/validation, cmd/kubelet/app, and the parts of
// pkg/kubelet that end a kubelet while it starts (eviction, the managers of CPUs, memory and topology). What one field may be
// is a line in bounds.go or choices.go; what several fields have to be together is a function, named after what upstream
// says, in the list of checks. Each has the minors that it holds for.
//
// What depends on the machine is no rule: whether a file is there, how many CPUs there are, which cgroup version it has.
//
// # Feature gates
//
// data/gates.txt has a gate a line and, from a minor on, what it is: "26:GA=true!" is on and locked, "33:gone" is gone,
// "36:Beta=false<A,B" may only be on together with A and B. data/gates.go makes it from the sources.
//
// # A release more
//
// Run data/gates.go with the new release at the end of its versions; compare validation.go and server.go with those of the
// release before, and close (until) or add (since) a line or a check.
package rules
