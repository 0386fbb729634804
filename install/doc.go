// Package install takes a host from the kubelet installation that it has to the one that is wanted.
//
// # The rooms
//
// What the user wants is a spec.Spec; from it and a release.Artifact spec.Build makes a plan.Generation: every file and the
// state of every unit, rendered, with digests. Package store keeps the generations that were installed. Package observe reads
// what is really there, and plan.NewPlan compares the three: the result is a list of steps, each with its reason. This
// package carries it out; it is the only one that changes a host. Package status says how the kubelet of a host is, and changes
// nothing.
//
// # A change has two halves
//
// First the binary is fetched, asked for its flags and rehearsed. Nothing of that can be undone, because nothing was done.
// Then the host is observed and planned for once more, since minutes may have passed, and the change begins: [Host.Apply]
// records the host as it is, carries out the steps, waits until kubelet is healthy, and only then commits. Whatever fails in
// between leads back to what was recorded; deleting what is no longer needed comes after the commit, and belongs to it.
//
// # Why every verb is the same verb
//
// Verbs differ only in the generation that they want. Install builds it from a spec; rollback, repair and restart load it;
// uninstall wants generation 0, which is what the host was before the first install. Undoing a change is a plan, too:
// towards the snapshot that was recorded right before it. Three invariants make that sound:
//
//   - every step may be repeated;
//   - nothing of the old generation is deleted before the new one is committed;
//   - what is about to be replaced is recorded first, a foreign file with its content.
//
// A run that was killed leaves the change pending; [Host.Recover], by the next run or by systemd, ends it.
package install
