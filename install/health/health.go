// Package health reports whether a kubelet is well, and why one is not.
package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Health is the answer of kubelet's /healthz.
type Health struct {
	OK        bool    `json:"ok"`
	URL       string  `json:"url"`
	LatencyMs float64 `json:"latencyMs"`
	Error     string  `json:"error,omitempty"`
}

// Probe asks a kubelet's health endpoint once, for at most two seconds.
func Probe(ctx context.Context, url string) Health {
	h := Health{URL: url}
	if url == "" {
		h.Error = "healthzPort is 0: this kubelet has no health endpoint"
		return h
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	began := time.Now()
	err := probe(ctx, url)
	h.LatencyMs = float64(time.Since(began).Microseconds()) / 1000
	if err != nil {
		h.Error = err.Error()
	}
	h.OK = err == nil
	return h
}

func probe(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	// The endpoint is on this host: no proxy, and no connection kept for a program that ends.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			return op.Err // "connect: connection refused"; the URL is told beside it
		}
		if errors.Is(err, context.DeadlineExceeded) {
			return errors.New("no answer in 2 s")
		}
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1024))
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK || strings.TrimSpace(string(body)) != "ok" {
		return fmt.Errorf("%s: %.200s", resp.Status, strings.TrimSpace(string(body)))
	}
	return nil
}
