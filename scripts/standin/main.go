// Command standin keeps the contract that kubeletctl sees of a kubelet, for fast tests; it runs no pod and never ships.
//
// It prints its version, dies on flags that a kubelet of that version does not accept, reads the KubeletConfiguration,
// keeps to the CPU manager policy of its checkpoint, tells systemd that it is ready, and alive if that wants to know, and answers on /healthz. It is built for a version:
//
//	go build -ldflags '-X main.version=v1.37.2' ./scripts/standin
//
// The file /run/standin makes it misbehave, one line a version, read at every start:
//
//	v1.37.2 crash            ends at once with an error
//	v1.37.2 crash-after 1s   ends after it was ready
//	v1.37.2 hang             never says that it is ready
//	v1.37.2 stubborn         hangs, and ignores SIGTERM
//	v1.37.2 sick             is ready, but /healthz answers 500
//	v1.37.2 sick-after 1s    is healthy at first
//
// Two versions are not as the tables of package config have them: v1.37.9 has lost --node-ip and refuses 13 pods, and v1.38.0,
// which is newer than they are, has no --register-node but a --brand-new.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"sigs.k8s.io/yaml"

	"github.com/kubeletctl/kubeletctl/config"
)

var version = "v1.37.2" // set by the linker

const orders = "/run/standin"

func main() {
	flags, err := parse(os.Args[1:])
	if err != nil {
		fail("command failed", err)
	}
	if _, asked := flags["help"]; asked {
		printHelp()
		return
	}
	if _, asked := flags["version"]; asked {
		fmt.Println("Kubernetes " + version)
		return
	}
	if endpoint := flags["container-runtime-endpoint"]; path.Base(endpoint) == "no-runtime.sock" {
		fail("command failed", asked(flags["config"], endpoint))
	}
	if order, _ := readOrder(); order == "stubborn" {
		signal.Ignore(syscall.SIGTERM, os.Interrupt)
		time.Sleep(time.Hour)
	}
	if err := run(flags["config"]); err != nil {
		fail("Failed to run kubelet", err)
	}
}

// asked is how a kubelet ends that has no runtime, and is only asked about its flags and its configuration.
func asked(file, endpoint string) error {
	var s settings
	if text, err := os.ReadFile(file); file != "" && (err != nil || yaml.Unmarshal(text, &s) != nil) {
		return fmt.Errorf("failed to load kubelet config file, path: %s", file)
	}
	if s.MaxPods == odd[version].unlucky && s.MaxPods != 0 {
		return fmt.Errorf("failed to validate kubelet configuration, error: invalid configuration: maxPods %d is unlucky", s.MaxPods)
	}
	return fmt.Errorf("failed to run Kubelet: validate CRI v1 runtime API for endpoint %q: no such file or directory", endpoint)
}

// fail says why in klog's form, which is what kubelet writes, and ends.
func fail(what string, err error) {
	fmt.Fprintf(os.Stderr, "E%s %7d standin.go:1] %q err=%q\n", time.Now().Format("0102 15:04:05.000000"), os.Getpid(), what, err)
	os.Exit(1)
}

// odd are the differences from the tables.
var odd = map[string]struct {
	lost, got string
	unlucky   int // number of pods
}{
	"v1.37.9": {lost: "node-ip", unlucky: 13},
	"v1.38.0": {lost: "register-node", got: "brand-new"},
}

func minor() config.Minor {
	parts := strings.Split(strings.TrimPrefix(version, "v"), ".")
	n, err := strconv.Atoi(parts[1])
	if err != nil {
		fail("bad version "+version, err)
	}
	return min(config.Minor(n), config.Newest)
}

func accepts(name string) bool {
	flag, known := config.LookupFlag(name)
	return name == odd[version].got || known && flag.AcceptedBy(minor()) && name != odd[version].lost
}

// printHelp prints the flags in the form that kubelets use.
func printHelp() {
	fmt.Print("A stand-in.\n\nUsage:\n  kubelet [flags]\n\nFlags:\n")
	for _, f := range config.FlagsOf(minor()) {
		if !accepts(f.Name) {
			continue
		}
		fmt.Printf("      --%s string   of the table\n", f.Name)
		if f.Name == "feature-gates" {
			fmt.Print("                AllAlpha=true|false (ALPHA - default=false)\n                Standing=true|false (BETA - default=true)\n")
		}
	}
	if got := odd[version].got; got != "" {
		fmt.Printf("      --%s string   of this release\n", got)
	}
}

// parse accepts what a kubelet of this version does. A flag without a value is only known to be right for a bool.
func parse(args []string) (map[string]string, error) {
	flags := map[string]string{}
	for _, arg := range args {
		name, value, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if !accepts(name) {
			return nil, fmt.Errorf("failed to parse kubelet flag: unknown flag: --%s", name)
		}
		flags[name] = value
	}
	return flags, nil
}

// settings are the fields that it heeds.
type settings struct {
	MaxPods            int    `json:"maxPods"`
	HealthzBindAddress string `json:"healthzBindAddress"`
	HealthzPort        int    `json:"healthzPort"`
	CPUManagerPolicy   string `json:"cpuManagerPolicy"`
}

// checkpoint is what the CPU manager leaves in kubelet's root directory.
const checkpoint = "/var/lib/kubelet/cpu_manager_state"

// keepPolicy refuses another policy than that of the last time, as kubelet does.
func keepPolicy(policy string) error {
	var last struct {
		PolicyName string `json:"policyName"`
	}
	text, err := os.ReadFile(checkpoint)
	if err == nil && yaml.Unmarshal(text, &last) == nil && last.PolicyName != policy {
		return fmt.Errorf("could not restore state from checkpoint: configured policy %q differs from state checkpoint policy %q", policy, last.PolicyName)
	}
	_ = os.WriteFile(checkpoint, fmt.Appendf(nil, `{"policyName":%q}`, policy), 0o600) // not where it is only rehearsed
	return nil
}

func run(file string) error {
	s, err := readSettings(file)
	if err != nil {
		return err
	}
	order, delay := readOrder()
	if order == "crash" {
		return fmt.Errorf("told to crash")
	}
	if err := keepPolicy(s.CPUManagerPolicy); err != nil {
		return err
	}
	var sick atomic.Bool
	sick.Store(order == "sick" || order == "late")
	if err := serve(s, &sick); err != nil {
		return err
	}
	if order != "hang" {
		if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
			return err
		}
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	after := make(<-chan time.Time)
	if delay > 0 {
		after = time.After(delay)
	}
	var alive <-chan time.Time
	if watched, err := daemon.SdWatchdogEnabled(false); err != nil {
		return err
	} else if watched > 0 {
		alive = time.Tick(watched / 2)
	}
	for {
		select {
		case <-stop:
			return nil
		case <-alive:
			if _, err := daemon.SdNotify(false, daemon.SdNotifyWatchdog); err != nil {
				return err
			}
		case <-after:
			if order == "crash-after" {
				return fmt.Errorf("told to crash after %s", delay)
			}
			sick.Store(order != "late")
		}
	}
}

// readSettings reads the KubeletConfiguration, if there is one.
func readSettings(file string) (settings, error) {
	s := settings{HealthzBindAddress: "127.0.0.1", HealthzPort: 10248, CPUManagerPolicy: "none"}
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return s, err
		}
		if err := yaml.Unmarshal(text, &s); err != nil {
			return s, fmt.Errorf("failed to decode: %w", err)
		}
	}
	if s.MaxPods < 0 {
		return s, fmt.Errorf("invalid configuration: maxPods (--max-pods) %d must not be a negative number", s.MaxPods)
	}
	return s, nil
}

// serve answers on /healthz from now on.
func serve(s settings, sick *atomic.Bool) error {
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if sick.Load() {
			http.Error(w, "told to be sick", http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, "ok")
	})
	listener, err := net.Listen("tcp", net.JoinHostPort(s.HealthzBindAddress, strconv.Itoa(s.HealthzPort)))
	if err != nil {
		return err
	}
	go func() { fail("Failed to serve healthz", http.Serve(listener, nil)) }()
	return nil
}

func readOrder() (order string, delay time.Duration) {
	text, err := os.ReadFile(orders)
	if err != nil {
		return "", 0
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != version {
			continue
		}
		if len(words) > 2 {
			delay, _ = time.ParseDuration(words[2])
		}
		return words[1], delay
	}
	return "", 0
}
