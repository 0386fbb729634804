module github.com/kubeletctl/kubeletctl

go 1.26.8

require (
	github.com/Masterminds/semver/v3 v3.5.0 // orders versions, pre-releases included
	github.com/agext/levenshtein v1.2.3 // did you mean
	github.com/coreos/go-systemd/v22 v22.7.0
	github.com/cyphar/filepath-securejoin v0.7.0 // keeps --root inside its tree
	github.com/google/renameio/v2 v2.0.2 // atomic files and symlinks
	github.com/hashicorp/go-getter/v2 v2.2.5
	github.com/rogpeppe/go-internal v1.16.0 // unified diffs; testscript
	github.com/schollz/progressbar/v3 v3.19.0
	github.com/spf13/cobra v1.10.2
	go.yaml.in/yaml/v4 v4.0.0 // line and column of YAML errors
	golang.org/x/net v0.60.0 // which hosts a proxy is not for
	golang.org/x/sys v0.49.0
	golang.org/x/term v0.47.0
	sigs.k8s.io/json v0.0.0-20260909141634-11ed52e25bc5 // strict about case and unknown keys
	sigs.k8s.io/yaml v1.6.0
)

require (
	github.com/godbus/dbus/v5 v5.1.0
	github.com/google/jsonschema-go v0.4.3 // tests: the schema of a spec file
	github.com/moby/sys/mountinfo v0.7.2
	github.com/spf13/pflag v1.0.9
	google.golang.org/grpc v1.85.0
	k8s.io/cri-api v0.37.2
)

require (
	github.com/bgentry/go-netrc v0.0.0-20140422174119-9fd32a8b3d3d // indirect
	github.com/hashicorp/errwrap v1.0.0 // indirect
	github.com/hashicorp/go-cleanhttp v0.5.0 // indirect
	github.com/hashicorp/go-multierror v1.1.0 // indirect
	github.com/hashicorp/go-safetemp v1.0.0 // indirect
	github.com/hashicorp/go-version v1.1.0 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/kr/text v0.2.0 // indirect
	github.com/mitchellh/colorstring v0.0.0-20190213212951-d06e56a500db // indirect
	github.com/mitchellh/go-homedir v1.0.0 // indirect
	github.com/mitchellh/go-testing-interface v1.0.0 // indirect
	github.com/rivo/uniseg v0.4.7 // indirect
	github.com/stretchr/testify v1.12.1 // indirect
	github.com/ulikunitz/xz v0.5.17 // indirect
	go.yaml.in/yaml/v2 v2.4.2 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/text v0.42.0 // indirect
	golang.org/x/tools v0.49.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260817212433-ac3dfec99bb1 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)
