package config

import (
	"os"
	"slices"
	"testing"
)

// What kubeadm v1.37.2 writes for a node is no problem for any kubelet that this kubeadm supports.
func TestValidateWrittenByKubeadm(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/kubeadm-v1.37.2.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for m := Minor(34); m <= Newest; m++ {
		fields, positions, err := LoadKubeletConfiguration(KubeadmConfig, data)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range ValidateWritten(m, fields, positions, nil) {
			t.Errorf("%s: %s: %v", m, f.Severity, f.Problem)
		}
	}
}

func TestValidateWritten(t *testing.T) {
	t.Parallel()
	const head = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
	tests := []struct {
		name, text string
		minor      Minor
		args       []Arg
		want       []string
	}{
		{name: "of a newer release", text: "crashLoopBackOff: {maxContainerRestartPeriod: 10s}\ncpuManagerReconcilePeriod: 0s\n", minor: 31,
			want: []string{"warning: f:3:1: kubeletConfiguration.crashLoopBackOff: appears in 1.32, this is 1.31"}},
		{name: "of a newer release, without a value", text: "crashLoopBackOff: {}\nimageMaximumGCAge: 0s\nlogging: {options: {text: {infoBufferSize: \"0\"}}}\n", minor: 27},
		{name: "known and not to be set", text: "crashLoopBackOff: {maxContainerRestartPeriod: 10s}\n", minor: 34,
			want: []string{"error: f:3:20: kubeletConfiguration.crashLoopBackOff.maxContainerRestartPeriod: needs the feature gate KubeletCrashLoopBackOffMax, which is off"}},
		{name: "a flag turns the gate on", text: "featureGates: {NodeSwap: true}\ncrashLoopBackOff: {maxContainerRestartPeriod: 10s}\n", minor: 33,
			args: []Arg{{Name: "feature-gates", Value: "KubeletCrashLoopBackOffMax=true"}}},
		{name: "a gate of the file counts beside those of a flag", text: "featureGates: {KubeletCrashLoopBackOffMax: true}\ncrashLoopBackOff: {maxContainerRestartPeriod: 10s}\n", minor: 33,
			args: []Arg{{Name: "feature-gates", Value: "NodeSwap=true"}}},
		{name: "a gate that is gone", text: "featureGates: {NoSuchGate: true}\n", minor: 37,
			want: []string{"error: f:3:16: kubeletConfiguration.featureGates.NoSuchGate: no release has a feature gate NoSuchGate"}},
		{name: "a type", text: "maxPods: many\n", minor: 37, want: []string{"error: f:3:1: kubeletConfiguration.maxPods: wanted a whole number (32 bit), got the string \"many\""}},
		{name: "a drop-in may turn the gate on", text: "crashLoopBackOff: {maxContainerRestartPeriod: 10s}\n", minor: 34, args: []Arg{{Name: "config-dir", Value: "/d"}}},
	}
	for _, tt := range tests {
		fields, positions, err := LoadKubeletConfiguration("f", []byte(head+tt.text))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range ValidateWritten(tt.minor, fields, positions, tt.args) {
			got = append(got, string(f.Severity)+": "+f.Error())
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n got %q\nwant %q", tt.name, got, tt.want)
		}
	}
}
