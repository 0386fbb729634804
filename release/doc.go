// Package release knows what upstream Kubernetes has, fetches a kubelet from
// there and does not hand it over before it is known to be the right one.
//
// # Words
//
// A Version is one exact release, v1.36.3. A Request is what a person asks
// for: an exact version, a minor ("1.36": its newest stable release) or a
// channel ("stable", "latest-1.36"). Client.Resolve turns a request into a
// version; an exact one costs no network request.
//
// A source is a directory in upstream's layout, given as an http, https or
// file URL. Below it lie
//
//	vX.Y.Z/bin/linux/ARCH/kubelet          and beside it .sha512, .sha256
//	vX.Y.Z/bin/linux/ARCH/kubeadm          and kubectl: the Tools, with theirs
//	stable.txt, stable-1.36.txt, ...       markers: the version of a channel
//
// Upstream itself has two: a bucket that is frozen at v1.31.0 and dl.k8s.io.
// Without sources of the user's own the one that is known to hold a version
// comes first, and "not found" moves on to the other.
//
// An Artifact is one file before it is there: version, architecture, the URLs
// that may have it and, always, its Digest. So everything about it is known
// before anything is planned or changed.
//
// # Trust
//
// The digest comes from the strongest place there is:
//
//	given       the user named it
//	published   the table of published digests built into this package
//	checksum    the checksum file beside the binary, from the same origin
//
// The weaker places are not asked: a mirror whose own checksum file
// disagrees with the table is refused all the same. A checksum file that came
// over plain http is worth nothing, so plain http (except to a loopback
// address) works only with given or published.
//
// # Fetching
//
// Client.Fetch runs hashicorp/go-getter's Client with a Getter of our own for
// http and https, because the stock one can return a wrong file without an
// error (see getter.go). What is there of an interrupted download is hashed,
// held against the server's bytes at its end, and continued. A body goes
// through a sink, which hashes and writes beside the network; when one
// connection is slow, several fetch a block each, which go into the file in
// order: a partial file always is the beginning of the whole. A file whose
// digest is wrong is deleted at once. Check then looks inside: is it a program
// for this architecture, can this machine load it, does it say that it is the
// version that was asked for.
//
// # Errors
//
// Callers branch on three: *NotFoundError, *VerifyError and *SpaceError. Any
// error may have a method Hint() string: one sentence about what to do.
// URLs in errors, notes and progress have passed through Redact.
package release
