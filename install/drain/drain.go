// Package drain moves the pods of a node elsewhere, with nothing but the credentials of its kubelet: the Node authorizer and
// NodeRestriction let a kubelet cordon its own Node, list the pods on it and evict them, and no others (tried with v1.37.2).
package drain

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/kubeletctl/kubeletctl/install/node"
	"github.com/kubeletctl/kubeletctl/release"
)

// Options say how a node is drained.
type Options struct {
	// Timeout bounds how long pods may take to go; 0 is no limit.
	Timeout time.Duration
	// GracePeriod is how long a pod gets to end, in seconds; negative for what it says itself.
	GracePeriod int
	// DeleteEmptyDir evicts pods that lose the data of an emptyDir volume, and Force those that nothing starts elsewhere.
	DeleteEmptyDir, Force bool
	// Tell is called with what the drain does or waits for, each once.
	Tell func(string)
}

// Drain is a node, as an API server has it, that is to be drained.
type Drain struct {
	client *node.Client
	// Node is its name.
	Node string
	// Poll is how often is asked whether pods are gone, and Retry how long an eviction that a budget does not allow waits for
	// the next try.
	Poll, Retry time.Duration
}

// New is a drain of a node with the credentials of its kubelet.
func New(client *node.Client, name string) *Drain {
	return &Drain{client: client, Node: name, Poll: time.Second, Retry: 5 * time.Second}
}

// answerTime bounds the time of one answer of the API server.
const answerTime = 10 * time.Second

func (d *Drain) send(ctx context.Context, method, path string, document, into any) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if method == http.MethodGet {
		return d.client.Ask(ctx, path, into)
	}
	return d.client.Send(ctx, method, path, document, into)
}

// Cordoned reports whether no new pods are scheduled to the node.
func (d *Drain) Cordoned(ctx context.Context) (bool, error) {
	var object struct{ Spec struct{ Unschedulable bool } }
	err := d.send(ctx, http.MethodGet, node.Path(d.Node), nil, &object)
	return object.Spec.Unschedulable, err
}

// Cordon lets no new pods be scheduled to the node; with false it lets them again.
func (d *Drain) Cordon(ctx context.Context, cordoned bool) error {
	patch := map[string]any{"spec": map[string]any{"unschedulable": cordoned}}
	if !cordoned {
		patch = map[string]any{"spec": map[string]any{"unschedulable": nil}}
	}
	return d.send(ctx, http.MethodPatch, node.Path(d.Node), patch, nil)
}

// RefusedError holds the pods of a node that are not evicted unless that is asked for.
type RefusedError struct{ Alone, Local []string }

func (e *RefusedError) Error() string {
	var parts []string
	if len(e.Alone) > 0 {
		parts = append(parts, "nothing starts these pods elsewhere: "+strings.Join(e.Alone, ", "))
	}
	if len(e.Local) > 0 {
		parts = append(parts, "these pods lose the data of their emptyDir volumes: "+strings.Join(e.Local, ", "))
	}
	return strings.Join(parts, "; ")
}

// TimeoutError reports that pods did not go in time.
type TimeoutError struct {
	After time.Duration
	// Waiting are the pods that are still there, each with why.
	Waiting []string
}

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("not all pods went within %s: %s", e.After, strings.Join(e.Waiting, "; "))
}

// Check lists the pods that have to go, or is a *RefusedError.
func (d *Drain) Check(ctx context.Context, o Options) ([]Pod, error) {
	all, err := d.pods(ctx)
	if err != nil {
		return nil, err
	}
	var refused RefusedError
	leaving := slices.DeleteFunc(all, Pod.stays)
	for _, p := range leaving {
		if p.controller() == "" && !o.Force {
			refused.Alone = append(refused.Alone, p.String())
		}
		if p.hasEmptyDir() && !o.DeleteEmptyDir {
			refused.Local = append(refused.Local, p.String())
		}
	}
	if len(refused.Alone)+len(refused.Local) > 0 {
		return nil, &refused
	}
	return leaving, nil
}

// Run evicts the pods of a node, which is cordoned, and waits until they are gone. Pods of a DaemonSet, mirrors of static pods and pods
// that have ended stay. Budgets hold: an eviction that none allows is tried again until the time is over, with a *TimeoutError.
func (d *Drain) Run(ctx context.Context, o Options) error {
	pods, err := d.Check(ctx, o)
	if err != nil || len(pods) == 0 {
		return err
	}
	o.Tell(fmt.Sprintf("evicting %s from node %s", release.FormatCount(len(pods), "pod", "pods"), d.Node))
	end := ctx
	if o.Timeout > 0 {
		var cancel context.CancelFunc
		end, cancel = context.WithTimeout(ctx, o.Timeout)
		defer cancel()
	}
	evictions := evictions{Drain: d, options: o, leaving: pods, why: map[string]string{}, told: map[string]bool{}}
	err = evictions.run(end)
	if ctx.Err() == nil && end.Err() != nil {
		return &TimeoutError{o.Timeout, evictions.waiting()}
	}
	return err
}

// evictions are the pods of a drain on their way.
type evictions struct {
	*Drain
	options Options
	leaving []Pod
	next    map[string]time.Time // when an eviction is tried again, by UID
	why     map[string]string    // why a pod is still there, by UID
	told    map[string]bool
	version string // of the API of evictions
}

func (e *evictions) run(ctx context.Context) error {
	e.next = map[string]time.Time{}
	for {
		for _, p := range e.leaving {
			if err := e.evict(ctx, p); err != nil {
				return err
			}
		}
		if err := e.wait(ctx, e.Poll); err != nil {
			return err
		}
		if err := e.look(ctx); err != nil || len(e.leaving) == 0 {
			return err
		}
	}
}

// look forgets the pods that are gone. An API server that does not answer for a while is waited for.
func (e *evictions) look(ctx context.Context) error {
	all, err := e.pods(ctx)
	var status *node.StatusError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &status) && status.Code != http.StatusTooManyRequests && status.Code < 500:
		return err
	case err != nil:
		e.tellOnce("waiting for the API server: " + err.Error())
		return nil
	}
	there := map[string]bool{}
	for _, p := range all {
		there[p.Metadata.UID] = !p.ended()
	}
	e.leaving = slices.DeleteFunc(e.leaving, func(p Pod) bool { return !there[p.Metadata.UID] })
	return nil
}

// evict asks for a pod to be evicted, unless that was granted, or is to wait.
func (e *evictions) evict(ctx context.Context, p Pod) error {
	uid := p.Metadata.UID
	if at, tried := e.next[uid]; tried && (at.IsZero() || time.Now().Before(at)) {
		return nil
	}
	err := e.post(ctx, p)
	var status *node.StatusError
	switch {
	case err == nil:
		e.next[uid], e.why[uid] = time.Time{}, "it was told to end and is still there"
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &status) && (status.Code == http.StatusNotFound || status.Code == http.StatusConflict):
		e.next[uid] = time.Time{} // gone, or another pod of that name by now
	case !errors.As(err, &status) || status.Code == http.StatusTooManyRequests || status.Code >= 500:
		e.next[uid], e.why[uid] = time.Now().Add(e.Retry), err.Error()
		e.tellOnce(p.String() + " is not evicted yet: " + err.Error())
	default:
		return fmt.Errorf("evicting %s: %w", p, err)
	}
	return nil
}

// post asks for an eviction in the version of the API that the server has: policy/v1 came with 1.22, and v1beta1 went with 1.25.
func (e *evictions) post(ctx context.Context, p Pod) error {
	if e.version == "" {
		server, err := e.client.Version(ctx)
		if err != nil {
			return err
		}
		e.version = "policy/v1"
		if server.Minor < 22 {
			e.version = "policy/v1beta1"
		}
	}
	options := map[string]any{"preconditions": map[string]any{"uid": p.Metadata.UID}}
	if e.options.GracePeriod >= 0 {
		options["gracePeriodSeconds"] = e.options.GracePeriod
	}
	eviction := map[string]any{
		"apiVersion": e.version, "kind": "Eviction", "deleteOptions": options,
		"metadata": map[string]any{"name": p.Metadata.Name, "namespace": p.Metadata.Namespace},
	}
	path := fmt.Sprintf("/api/v1/namespaces/%s/pods/%s/eviction", url.PathEscape(p.Metadata.Namespace), url.PathEscape(p.Metadata.Name))
	return e.send(ctx, http.MethodPost, path, eviction, nil)
}

// waiting are the pods that are still there, each with why.
func (e *evictions) waiting() (list []string) {
	for _, p := range e.leaving {
		list = append(list, fmt.Sprintf("%s: %s", p, e.why[p.Metadata.UID]))
	}
	return list
}

func (e *evictions) tellOnce(text string) {
	if !e.told[text] {
		e.told[text] = true
		e.options.Tell(text)
	}
}

func (e *evictions) wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
