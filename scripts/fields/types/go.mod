// This folder is a module of its own, so that k8s.io/kubelet never gets near the binary. The modules with the pinned
// releases are the *.mod files.
module kubeletctl.dev/scripts/fields/types

go 1.26
