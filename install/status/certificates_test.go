package status

import (
	"testing"
	"time"

	"github.com/kubeletctl/kubeletctl/install/preflight"
)

func TestCertificates(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	certificate := func(use string, age, left time.Duration) Certificate {
		return Certificate{Use: use, began: now.Add(-age), Expires: now.Add(left)}
	}
	tests := []struct {
		name string
		Certificate
		want preflight.Severity // empty for no problem
	}{
		{"of a year, 15 days left", certificate("client", 350*day, 15*day), ""},
		{"of a year, 13 days left", certificate("client", 352*day, 13*day), preflight.Warning},
		{"of a day, 12 hours left", certificate("client", 12*time.Hour, 12*time.Hour), ""},
		{"of a day, 2 hours left", certificate("client", 22*time.Hour, 2*time.Hour), preflight.Warning},
		{"ended", certificate("client", 366*day, -day), preflight.Failure},
		{"serving, ended", certificate("serving", 366*day, -day), preflight.Warning},
		{"kubelet's own, ended", Certificate{Use: "serving", began: now.Add(-366 * day), Expires: now.Add(-day), selfSigned: true}, ""},
	}
	for _, tt := range tests {
		s := &Status{Certificates: []Certificate{tt.Certificate}}
		s.checkCertificates(now)
		var got preflight.Severity
		for _, p := range s.Problems {
			got = p.Severity
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
