// Package systemd is what kubeletctl knows of the service manager.
//
// # Unit files
//
// [KubeletUnit] renders kubelet.service, and kubelet.path, which starts kubelet the moment its credentials appear.
// Rendering is pure: the same values give the same bytes on every machine. Units are whole files of our own; the
// files of an administrator (drop-ins in kubelet.service.d/) are never parsed and written back, because a round trip
// through a parser loses comments and order.
//
// # The manager
//
// [Conn] speaks to a running systemd over D-Bus. Its verbs wait for the job that they queue and take only the job
// result "done" for success; and since "done" is also what a unit gets that a Condition kept from starting, callers
// read [UnitState] afterwards. A systemd that is executed anew in between is not noticed: Conn connects again and finds out
// what became of the job. [Offline] has the same verbs for a tree that is not running (an image being baked): enabling is
// a symlink, and there is nothing to start.
//
// # The journal
//
// [Journal] reads what a unit logged, through journalctl: the journal's own library needs cgo.
package systemd
