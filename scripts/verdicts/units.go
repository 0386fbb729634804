package verdicts

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// setup is a unit as somebody may have written it, and a drop-in of it, which may be empty.
type setup struct {
	name         string // kubelet17.service
	unit, dropIn string
}

// realUnits are what units of kubelets look like in the field: of kubeadm's packages, of the hard way, of images.
var realUnits = []setup{{unit: `[Unit]
Description=kubelet: The Kubernetes Node Agent
Documentation=https://kubernetes.io/docs/
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/bin/kubelet
Restart=always
StartLimitInterval=0
RestartSec=10

[Install]
WantedBy=multi-user.target
`, dropIn: `# Note: This dropin only works with kubeadm and kubelet v1.11+
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
`}, {unit: `[Unit]
Description=Kubernetes Kubelet
After=containerd.service
Requires=containerd.service
ConditionPathExists=/var/lib/kubelet/kubeconfig

[Service]
Slice=system.slice
CPUAccounting=true
MemoryAccounting=yes
ExecStartPre=/bin/mkdir -p /etc/kubernetes/manifests
ExecStart=/usr/local/bin/kubelet \
  --config=/var/lib/kubelet/kubelet-config.yaml \
  --container-runtime-endpoint=unix:///var/run/containerd/containerd.sock \
  --kubeconfig=/var/lib/kubelet/kubeconfig \
  --node-labels=a=b,c=d \
  --register-node=true --v=2
Restart=on-failure
RestartSec=5
KillMode=process
LimitNOFILE=1048576
OOMScoreAdjust=-999

[Install]
WantedBy=multi-user.target
`, dropIn: `[Unit]
StartLimitIntervalSec=0
[Service]
Environment=HTTP_PROXY=http://proxy:3128 'NO_PROXY=10.0.0.0/8,.svc'
WatchdogSec=2min
TimeoutStartSec=1min 30s
`}, {unit: `[Unit]
Description=Kubelet
Wants=rpc-statd.service crio.service
After=network-online.target crio.service
BindsTo=var-lib-kubelet.mount

[Service]
Type=notify
NotifyAccess=all
EnvironmentFile=/etc/os-release
EnvironmentFile=-/etc/kubernetes/kubelet-workaround
ExecStart=/usr/bin/kubelet --node-labels=node.openshift.io/os_id=${ID} --v=${KUBELET_LOG_LEVEL}
Delegate=yes
UMask=0027
StandardOutput=journal
SyslogLevel=info
CPUQuota=80%
MemoryMax=2G
TasksMax=infinity
KillSignal=SIGTERM
Nice=-5

[Install]
WantedBy=multi-user.target
`}}

// assignments are lines that are added: values of each form that systemd knows, right and wrong ones, and keys that are none.
var assignments = map[string][]string{
	"Unit": {
		"After=a.service b.target", "After=network", "Before=x@1.service", "Wants=/etc/x.mount", "Requires=a.service,b.service",
		"PartOf=x", "ConditionPathExists=!/x", "ConditionPathExists=x", "ConditionPathExists=|/a b", "ConditionDirectoryNotEmpty=||/x",
		"AssertPathExists=/x", "StartLimitBurst=0x10", "StartLimitBurst=-1", "StartLimitIntervalSec=1h 5", "StartLimitIntervalSec=soon",
		"StartLimitAction=reboot", "StartLimitAction=Reboot", "DefaultDependencies=off", "DefaultDependencies=2", "OnFailure=x.service",
		"RefuseManualStop=", "Restart=always", "ExecStart=/bin/true", "X-Foo=1", "description=x", "Documentation=man:kubelet(8)",
		"JobTimeoutAction=none", "OnFailureJobMode=replace", "OnFailureJobMode=maybe", "AllowIsolate=TRUE", "CollectMode=inactive",
	},
	"Service": {
		"Type=simple", "Type=notify ", "Type=Simple", "Restart=no", "Restart=on-fail", "RestartSec=100ms", "RestartSec=-1", "RestartSec=1.5",
		"RestartSec=5 min 3 s", "RestartSec=infinity", "RestartSec=", "RestartSec=5seconds", "TimeoutStopSec=0", "TimeoutStopSec=1y", "TimeoutSec=x",
		"WatchdogSec=30s", "KillMode=mixed", "KillMode=all", "KillSignal=9", "KillSignal=sigterm", "KillSignal=SIGRTMIN+1", "KillSignal=0",
		"OOMScoreAdjust=1001", "OOMScoreAdjust=-1000", "OOMScoreAdjust=1.0", "Nice=19", "Nice=-21", "CPUWeight=1", "CPUWeight=10001", "CPUWeight=idle",
		"IOWeight=500", "IOWeight=x", "MemoryMax=1G", "MemoryMax=1g", "MemoryMax=1.5G", "MemoryMax=150%", "MemoryMin=-1", "MemorySwapMax=0",
		"TasksMax=100", "TasksMax=0", "TasksMax=50%", "TasksMax=x", "LimitNOFILE=infinity", "LimitNOFILE=10:5", "LimitNOFILE=1k", "LimitNPROC=:",
		"LimitCORE=1G", "LimitCPU=5m", "LimitNICE=+5", "LimitRTTIME=1s", "UMask=22", "UMask=0888", "Delegate=cpu", "Delegate=gpu", "Delegate=no",
		"CPUAccounting=1", "CPUAccounting=enable", "TasksAccounting=t", "Slice=kube.slice", "Slice=kube", "Slice=-.slice", "Slice=a/b.slice",
		"WorkingDirectory=/var", "WorkingDirectory=var", "WorkingDirectory=-/x", "WorkingDirectory=~", "RootDirectory=x", "StandardOutput=null",
		"StandardOutput=file", "StandardOutput=file:/x", "StandardError=append:x", "StandardInput=null", "StandardInput=none", "CPUQuota=200%",
		"CPUQuota=20", "OOMPolicy=kill", "OOMPolicy=none", "SyslogLevel=7", "SyslogLevel=8", "SyslogFacility=local0", "SyslogFacility=local9",
		"NotifyAccess=main", "NotifyAccess=some", "PIDFile=/run/kubelet.pid", "PIDFile=kubelet.pid", "RemainAfterExit=no", "User=root", "User=no body",
		"Group=0", "Environment=A=1 B=2", `Environment="A=1" 'B=x y'`, "Environment=A", "Environment=1A=1", `Environment="A=1`, "Environment=A=%H",
		`Environment=A="x"`, "Environment=A-B=1", "Environment=", "EnvironmentFile=/etc/x", "EnvironmentFile=etc/x", "EnvironmentFile=-etc/x",
		"EnvironmentFile=/etc/*.env", "ExecStartPre=-/bin/mkdir -p /x", "ExecStartPre=mkdir /x", "ExecStartPre=bin/x", "ExecStartPre=/bin/x 'a",
		"ExecStartPost=/bin/sh -c 'sleep 1'", `ExecReload=/bin/kill -HUP \$MAINPID`, "ExecStop=/bin/a ; /bin/b", "ExecStopPost=@/bin/a",
		"ExecStart=/bin/second", "PrivateTmp=yes", "ProtectSystem=full", "MountFlags=shared", "CPUShares=1024", "BlockIOWeight=500", "TimeoutStartSec=5 parsecs",
		"After=x.service", "ConditionPathExists=/x", "WantedBy=multi-user.target", "restart=always", "Restart-Sec=5", "--v=2", "SuccessExitStatus=143",
		"SuccessExitStatus=SIGTERM", "AmbientCapabilities=CAP_SYS_ADMIN", "DevicePolicy=auto", "DevicePolicy=open", "LogLevelMax=debug", "LogLevelMax=verbose",
		"CPUAffinity=0-1", "SendSIGKILL=no", "SendSIGKILL=never", "TimeoutAbortSec=1s", "TimeoutStopFailureMode=kill", "TimeoutStopFailureMode=die",
		"ReadWritePaths=/var", "RuntimeDirectory=kubelet", "RuntimeDirectoryMode=755", "RuntimeDirectoryMode=rwx", "KeyringMode=shared", "Ipaccounting=no",
	},
	"Install": {"WantedBy=multi-user.target", "WantedBy=multi-user", "Alias=k.service", "RequiredBy=a b", "Also=x.service", "Enabled=yes", "DefaultInstance=a"},
}

// noise are the characters that are put into a text.
var noise = strings.Split("\" ' \\ % $ = [ ] # ; : / , - @ 0 x \t \r é %% $$ ${ } \\x41 \\n \xff \ufeff \x01", " ")

// setups makes units out of real ones, each with up to three changes. The same count makes the same setups.
func setups(count int) []setup {
	random := rand.New(rand.NewPCG(1, 2))
	var all []setup
	for n := range count {
		s := realUnits[n%len(realUnits)]
		s.name = fmt.Sprintf("kubelet%d.service", n)
		if n/len(realUnits)%2 == 1 {
			s.dropIn = ""
		}
		for range n % 4 {
			if s.dropIn != "" && random.IntN(2) == 0 {
				s.dropIn = mutate(random, s.dropIn)
			} else {
				s.unit = mutate(random, s.unit)
			}
		}
		all = append(all, s)
	}
	return all
}

// mutate changes a text in one place.
func mutate(random *rand.Rand, text string) string {
	lines := strings.SplitAfter(strings.TrimSuffix(text, "\n")+"\n", "\n")
	lines = lines[:len(lines)-1]
	at := random.IntN(len(lines))
	switch random.IntN(12) {
	case 0: // a line is lost
		lines = slices.Delete(lines, at, at+1)
	case 1: // a line is there twice
		lines = slices.Insert(lines, at, lines[at])
	case 2: // two lines become one
		lines[at] = strings.TrimSuffix(lines[at], "\n")
	case 3: // a character is lost
		if i := random.IntN(len(lines[at])); lines[at][i] < 0x80 {
			lines[at] = lines[at][:i] + lines[at][i+1:]
		}
	case 4, 5: // a character too many
		i := random.IntN(len(lines[at]))
		lines[at] = lines[at][:i] + noise[random.IntN(len(noise))] + lines[at][i:]
	case 6: // another case
		lines[at] = strings.ToLower(lines[at])
	case 7: // a header
		headers := []string{"[Service]\n", "[service]\n", "[Unit]\n", "[Install]\n", "[Foo]\n", "[X-Foo]\n", "[Service\n", " [Service] \n", "[Service] # x\n", "[]\n"}
		lines = slices.Insert(lines, at, headers[random.IntN(len(headers))])
	default: // an assignment in the section where it belongs, mostly
		section := []string{"Unit", "Service", "Service", "Service", "Install"}[random.IntN(5)]
		line := assignments[section][random.IntN(len(assignments[section]))] + "\n"
		if header := slices.Index(lines, "["+section+"]\n"); header >= 0 && random.IntN(20) > 0 {
			at = header + 1
		}
		lines = slices.Insert(lines, at, line)
	}
	return strings.Join(lines, "")
}
