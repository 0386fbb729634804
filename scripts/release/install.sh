#!/bin/sh
# Installs kubeletctl from a directory that scripts/release/build made, over https or on this machine:
#
#   KUBELETCTL_SOURCE=https://mirror.example/kubeletctl/v0.1.0 sh install.sh
#
#   KUBELETCTL_SOURCE    URL (https://, file://) or path of the directory; required
#   KUBELETCTL_VERSION   the version that it has to be (v0.1.0); default: the only one that is there
#
# The checksum in SHA256SUMS is compared before anything is unpacked. kubeletctl goes to /usr/local/bin or, where that is
# read-only, to /opt/bin. All is in a function, so that a script that is cut off while it is piped into sh does nothing.
set -eu

fail() {
	echo "install.sh: error: $1" >&2
	[ $# -lt 2 ] || echo "install.sh: hint: $2" >&2
	exit 1
}

# get NAME FILE: fetches a file of the release.
get() {
	case $source in
	file://*) cp -- "${source#file://}/$1" "$2" || fail "cannot read ${source#file://}/$1" ;;
	https://*)
		if command -v curl >/dev/null; then
			curl -fsSL --proto =https --retry 3 -o "$2" "$source/$1" || fail "cannot download $source/$1"
		elif command -v wget >/dev/null; then
			wget -q -O "$2" "$source/$1" || fail "cannot download $source/$1"
		else
			fail "there is neither curl nor wget" "install one of them, or name a directory of this machine as KUBELETCTL_SOURCE"
		fi ;;
	esac
}

architecture() {
	case $(uname -m) in
	x86_64 | amd64) echo amd64 ;;
	aarch64 | arm64) echo arm64 ;;
	ppc64le) echo ppc64le ;;
	s390x) echo s390x ;;
	*) fail "there is no kubeletctl for $(uname -m)" ;;
	esac
}

# bin_dir prints the directory to install to.
bin_dir() {
	for dir in /usr/local/bin /opt/bin; do
		if mkdir -p "$dir" 2>/dev/null && touch "$dir/.kubeletctl-$$" 2>/dev/null; then
			rm -f "$dir/.kubeletctl-$$"
			echo "$dir"
			return
		fi
	done
	fail "neither /usr/local/bin nor /opt/bin can be written to"
}

main() {
	source=${KUBELETCTL_SOURCE-}
	case $source in
	https://* | file:///*) source=${source%/} ;;
	/*) source=file://${source%/} ;;
	"") fail "KUBELETCTL_SOURCE is not set" "KUBELETCTL_SOURCE=https://HOST/DIRECTORY, or a directory of this machine: /media/kubeletctl" ;;
	*) fail "KUBELETCTL_SOURCE=$source is neither https://, file:/// nor an absolute path" ;;
	esac
	[ "$(uname -s)" = Linux ] || fail "kubeletctl is for Linux, not $(uname -s)"
	[ "$(id -u)" = 0 ] || fail "this has to run as root" "sudo KUBELETCTL_SOURCE=$source sh install.sh"
	arch=$(architecture)
	dir=$(bin_dir)

	work=$(mktemp -d)
	new=
	trap 'rm -rf "$work" ${new:+"$new"}' EXIT
	trap 'exit 1' HUP INT TERM
	get SHA256SUMS "$work/SHA256SUMS"
	version=${KUBELETCTL_VERSION-}
	version=${version#v}
	names=$(sed -n "s/^[0-9a-f]\{64\}  \(kubeletctl_.*_linux_$arch\.tar\.gz\)\$/\1/p" "$work/SHA256SUMS")
	name=
	for n in $names; do
		[ -z "$version" ] || [ "$n" = "kubeletctl_${version}_linux_$arch.tar.gz" ] || continue
		[ -z "$name" ] || fail "$source has several versions" "name one: KUBELETCTL_VERSION=v0.1.0"
		name=$n
	done
	[ -n "$name" ] || fail "$source has no kubeletctl${version:+ v$version} for linux/$arch"

	get "$name" "$work/$name"
	(cd "$work" && grep -F "  $name" SHA256SUMS | sha256sum -c >/dev/null 2>&1) ||
		fail "$name does not have the checksum in $source/SHA256SUMS: it is damaged, incomplete or another file" "nothing was installed; try again, or another source"
	tar -xzf "$work/$name" -C "$work" "${name%.tar.gz}/kubeletctl" || fail "$name cannot be unpacked"
	said=$("$work/${name%.tar.gz}/kubeletctl" version --quiet) || fail "this kubeletctl does not run on this machine"

	new=$dir/.kubeletctl-$$
	cp "$work/${name%.tar.gz}/kubeletctl" "$new"
	chmod 755 "$new"
	sync
	mv -f "$new" "$dir/kubeletctl"
	echo "$dir/kubeletctl: $said"
	case :$PATH: in
	*":$dir:"*) ;;
	*) echo "install.sh: $dir is not in PATH" >&2 ;;
	esac
}

main
