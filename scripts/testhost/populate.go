package testhost

import (
	"os"
	"path/filepath"
)

const (
	ownDir           = "/usr/lib/testhost"
	initPath         = ownDir + "/init"
	containerdWanted = "multi-user.target.wants/containerd.service"
)

// initScript runs as PID 1 and becomes systemd. What it does has to be there
// before systemd looks at its control groups and before any service starts, at
// every boot.
//
// With cgroup v1 the controllers come read-only, and units would get no limits.
// The kernel's settings are the machine's own and stay read-only; kubelet wants
// to change some and refuses to run if it can't, so it is shown files which hold
// the values it wants.
const initScript = `#!/bin/sh
for c in /sys/fs/cgroup/*/; do
	if mountpoint -q "$c"; then mount -o remount,bind,rw "$c"; fi
done
cd ` + ownDir + `/sys
find . -type f | while read -r f; do
	if [ -e "/proc/sys/$f" ]; then mount -o bind,ro "$f" "/proc/sys/$f"; fi
done
cd /
exec /usr/lib/systemd/systemd
`

var wantedSysctls = map[string]string{
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
}

// Lowering a process's OOM score needs a capability that a host may not have.
const containerdConfig = `version = 2

[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = true
`

// cloudConfig leaves out what has to fail without locales, so that cloud-init's
// own status reports whether the seed was right.
const cloudConfig = `datasource_list: [NoCloud]
locale: false
`

// populate writes what makes the base tree this host.
func populate(root string, o Options) error {
	files := map[string][]byte{
		"/etc/hostname": []byte(o.Name + "\n"),
		// There is no DNS; kubelet waits long for its own name.
		"/etc/hosts":                  []byte("127.0.0.1 localhost\n127.0.1.1 " + o.Name + "\n::1 localhost\n"),
		"/etc/containerd/config.toml": []byte(containerdConfig),
		initPath:                      []byte(initScript),
	}
	for name, value := range wantedSysctls {
		files[ownDir+"/sys/"+name] = []byte(value + "\n")
	}
	if o.Seed == nil {
		files["/etc/cloud/cloud-init.disabled"] = nil
	} else {
		files["/etc/cloud/cloud.cfg.d/99-testhost.cfg"] = []byte(cloudConfig)
	}
	for name, content := range o.Seed {
		files["/var/lib/cloud/seed/nocloud/"+name] = content
	}
	for path, content := range files {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	if err := os.Chmod(filepath.Join(root, initPath), 0o755); err != nil {
		return err
	}
	if o.Containerd {
		link := filepath.Join(root, "etc/systemd/system", containerdWanted)
		if err := symlink("/usr/lib/systemd/system/containerd.service", link); err != nil {
			return err
		}
	}
	if o.Prepare != nil {
		return o.Prepare(root)
	}
	return nil
}
