package cmd

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kubeletctl/kubeletctl/install/preflight"
	"github.com/kubeletctl/kubeletctl/install/status"
)

// metric is a family of metrics in the text format of Prometheus
// (prometheus.io/docs/instrumenting/exposition_formats/#text-based-format).
type metric struct {
	name, kind, help string
	samples          []sample
}

type sample struct {
	labels []string // names and values, by turns
	value  float64
}

// printMetrics writes a status for the textfile collector of node_exporter.
func printMetrics(out io.Writer, s *status.Status) {
	w := bufio.NewWriter(out)
	for _, m := range metrics(s) {
		if len(m.samples) == 0 {
			continue
		}
		name := "kubeletctl_" + m.name
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, m.help, name, m.kind)
		for _, one := range m.samples {
			fmt.Fprintf(w, "%s%s %s\n", name, labels(one.labels), strconv.FormatFloat(one.value, 'f', -1, 64))
		}
	}
	_ = w.Flush() // out remembers what could not be written
}

// labels are the labels of a sample, with their values escaped.
func labels(pairs []string) string {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	var all []string
	for pair := range slices.Chunk(pairs, 2) {
		all = append(all, pair[0]+`="`+escape.Replace(strings.ToValidUTF8(pair[1], "?"))+`"`)
	}
	if all == nil {
		return ""
	}
	return "{" + strings.Join(all, ",") + "}"
}

func metrics(s *status.Status) []metric {
	runtime := &status.Runtime{}
	if s.Runtime != nil {
		runtime = s.Runtime
	}
	gauge := func(name, help string, value float64) metric {
		return metric{name, "gauge", help, []sample{{nil, value}}}
	}
	list := []metric{
		{"kubelet_info", "gauge", "The kubelet of this host, always 1.", []sample{{[]string{"version", s.Version, "running", s.Running.Version,
			"state", string(s.State), "trust", s.Trust, "generation", strconv.Itoa(s.Generation), "runtime", runtime.Name, "runtime_version", runtime.Version}, 1}}},
		gauge("kubelet_installed", "Whether kubeletctl has installed a kubelet.", truth(s.Installed)),
		gauge("kubelet_healthy", "Whether the state is healthy.", truth(s.State == status.Healthy)),
		gauge("kubelet_drift", "How many things differ from what was installed.", float64(len(s.Drift))),
		{"kubelet_restarts_total", "counter", "Restarts by systemd since kubelet was last started by hand.", []sample{{nil, float64(s.Service.Restarts)}}},
	}
	problems := metric{"kubelet_problems", "gauge", "Problems that kubeletctl status reports.", nil}
	for _, severity := range []preflight.Severity{preflight.Failure, preflight.Warning} {
		n := 0
		for _, p := range s.Problems {
			if p.Severity == severity {
				n++
			}
		}
		problems.samples = append(problems.samples, sample{[]string{"severity", string(severity)}, float64(n)})
	}
	list = append(list, problems)
	if s.Service.Since != nil {
		list = append(list, gauge("kubelet_start_time_seconds", "When kubelet became active, as a Unix time.", unixTime(*s.Service.Since)))
	}
	expiry := metric{"kubelet_certificate_expiry_timestamp_seconds", "gauge", "When a certificate of kubelet ends, as a Unix time.", nil}
	for _, c := range s.Certificates {
		expiry.samples = append(expiry.samples, sample{[]string{"use", c.Use}, unixTime(c.Expires)})
	}
	list = append(list, expiry)
	if s.Node != nil && s.Node.Error == "" {
		list = append(list, gauge("node_ready", "Whether the API server calls the node Ready.", truth(s.Node.Ready == "True")))
	}
	return list
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func unixTime(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
