// Package install takes a host from the kubelet installation that it has to the one that is wanted.
//
// # The words
//
// A [Spec] is what the user wants: a version, flags, fields. From it and from a release.Artifact (exact version, URL,
// digest) [Build] makes a [Generation]: every file and the state of every unit, rendered, with digests. The [Store]
// keeps the generations that were installed, under /var/lib/kubeletctl; the symlink "current" names the one that counts.
//
// [Host.Observe] reads what is really there, as [Seen]. [NewPlan] compares three things: what is wanted, what was last
// installed, and what was seen; the result is a [Plan], a list of steps, each with its reason. It is pure and is the heart of
// the program. For each file:
//
//	seen == wanted     nothing to do
//	seen == installed  ours to change
//	otherwise          somebody edited it: a conflict, which only force overwrites, after a backup
//
// [Host.Apply] carries a plan out, waits until kubelet is healthy, and only then commits the generation.
//
// # Why every verb is the same verb
//
// Verbs differ only in the generation that they want. Install builds it from a spec; uninstall wants generation 0,
// which is what the host was before the first install. Undoing a change that failed is a plan, too: towards the
// [Generation] that was recorded from the host right before it ("before"). Three invariants make that sound:
//
//   - every step may be repeated;
//   - nothing of the old generation is deleted before the new one is committed;
//   - what is about to be replaced is recorded first, a stranger's file with its content.
//
// A run that was killed leaves the marker "pending"; the next run goes back to "before" first.
package install
