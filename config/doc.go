// Package config knows what a kubelet of each release accepts, and renders the
// flags and the KubeletConfiguration file for one of them.
//
// # Why a table
//
// A kubelet dies on a flag that it does not know, and ignores a configuration
// field that it does not know, but for a line in its log. Both lists change with almost
// every release. So kubeletctl carries them, 1.13 to 1.37, and never writes
// anything that the target release would refuse or overlook.
//
// # Words
//
//   - Minor: a Kubernetes minor release; Minor(37) is 1.37. Patch releases
//     never changed a list.
//   - Flag: a kubelet command line flag and the minors that accept it, with the
//     field that says the same, if there is one.
//   - Field: a KubeletConfiguration field by its dotted path,
//     "authentication.anonymous.enabled". "path[]" is an item of a list. A dot
//     inside a key is escaped with a backslash.
//   - Default: what kubeletctl writes when the user says nothing; see
//     defaults.go, where each has its reason.
//   - Retired flag: one that the target release has removed. It is dropped when
//     that cannot change what the kubelet does, replaced when something else
//     takes the same value, and a problem otherwise; see retired.go.
//   - Problem: something that the user has to change, with the place where it
//     was written and a hint. All problems are reported at once.
//   - Finding: an error or a warning of validation; see validate.go.
//   - Migration: a setup carried over to another release, with an Item for each
//     flag and field that it had and each default that changes; see migrate.go.
//   - Profile: hardened or upstream, which defaults are written.
//   - Rule: what a kubelet refuses although names and types are right; package
//     rules has them, and the feature gates of each release.
//   - Note: something that Render did with a user's flag, and why.
//   - Secret: a value that is not to be shown: HideSecrets, MaskFields and
//     maskFlag mask what the list in secret.go names. No message of this package
//     has one.
//
// All of it is one package since the same tables decide all of it: also what is
// a secret, and what a key that nobody knows was meant to be.
//
// # The way through
//
// DecodeStrict and LoadKubeletConfiguration read what the user wrote and
// remember where. ParseSet and SetField lay single values over it. Render
// checks all of it against the tables for one minor, decides for each flag
// whether it stays a flag or becomes a field, adds the defaults, and returns
// both files' content. Render is pure: same input, same bytes.
//
// # Adding release 1.38
//
// The tables are data/flags.json and data/fields.json, one entry a line.
//
//  1. Compare the flags of a 1.38 kubelet's --help with FlagsOf(37), and its
//     KubeletConfiguration type with the fields.
//  2. New name: add a line with "since":38. Gone: add "removed":38 to its line.
//     Newly deprecated: "deprecated":38 with "deprecation" saying
//     "use-config-file" (a warning only) or "planned-removal". A flag that got a
//     field: "field" and "fieldSince".
//  3. A removed flag that was harmless with some or all values: a line in
//     retired.go. Without one it is a problem for who still uses it.
//  4. A default that changed: "history" of its field; a value that means something
//     else now: reread in migrate.go.
//  5. Raise Newest in minor.go; go test ./config -update; read the diff of
//     testdata.
//  6. Make rules/data/gates.txt anew, and compare the rules: see package rules.
//  7. scripts/kubelet/pin v1.38.0, and add it to realKubelets in scripts/hosttest:
//     its binary then tells which flags the table has wrong.
//
// data/compact makes both files anew from the full research tables.
package config
