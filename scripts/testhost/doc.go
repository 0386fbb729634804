// Package testhost boots disposable machines with systemd as PID 1, for tests
// that have to see a real systemd, a real containerd and a real kubelet.
//
// # How it works
//
// A base tree (Debian, made once, see [Base]) is the lower layer of an overlay;
// every host has an upper layer of its own and is booted by systemd-nspawn in
// about two seconds. A host has no network but loopback, no DNS, and its own
// control groups. The same host can be switched off, or lose its power, and be
// booted again with the disk that it left behind. What kubelet and containerd
// keep is on a tmpfs, as large for every host as for the next one.
//
//	h, err := testhost.Start(ctx, testhost.Options{Containerd: true})
//	if err != nil { ... }
//	t.Cleanup(func() { h.Close() })
//	res, err := h.Run(ctx, "systemctl", "is-active", "containerd")
//
// # What a power cut is, and is not
//
// [Host.PowerCut] stops every process of the host at once, and nothing in it
// gets to clean up. The kernel is the machine's own, so what was written but not
// yet synced survives; whether a program syncs is for strace to tell.
//
// # Words
//
// Inside and outside are the two views of one file or process: inside the host,
// and on the machine that runs it. A host is off when its PID 1 is gone; closed
// when nothing of it is left on the machine.
package testhost
