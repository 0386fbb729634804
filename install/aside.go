package install

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"path"
	"time"

	"github.com/kubeletctl/kubeletctl/install/drain"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/node"
	"github.com/kubeletctl/kubeletctl/install/store"
	"github.com/kubeletctl/kubeletctl/release"
	"github.com/kubeletctl/kubeletctl/systemd"
)

// aside is the drain that comes before a change, nil for none, and what became of it.
func (a attempt) aside() (*drain.Drain, error) {
	if a.options.Drain == nil || a.change.Have == nil {
		return nil, nil //nolint:nilnil // there is nothing to drain
	}
	d, err := a.host.Cluster().OpenDrain(a.change.Have)
	if errors.Is(err, ErrNotJoined) {
		a.host.note("%v: there is nothing to drain", err)
		return nil, nil //nolint:nilnil // as above
	}
	return d, err
}

// mayDrain refuses a change whose drain would be refused, before anything is fetched.
func (a attempt) mayDrain(ctx context.Context) error {
	d, err := a.aside()
	if d == nil || err != nil {
		return err
	}
	if _, err = d.Check(ctx, *a.options.Drain); err != nil {
		return &UnchangedError{fmt.Errorf("draining node %s: %w", d.Node, err)}
	}
	return nil
}

// stepAside cordons the node and moves its pods elsewhere. What it cordons is recorded before, so that it is taken back however the
// change ends: see comeBack. A node that somebody else has cordoned stays so.
func (a attempt) stepAside(ctx context.Context) error {
	d, err := a.aside()
	if d == nil || err != nil {
		a.noteUndrained(ctx)
		return err
	}
	a.options.enter(Draining)
	cordoned, err := d.Cordoned(ctx)
	if err != nil {
		return fmt.Errorf("draining node %s: %w", d.Node, err)
	}
	if !cordoned {
		if err := a.host.Store().Cordon().Save(store.Cordon{Node: d.Node, Kubeconfig: a.change.Have.Kubeconfig()}); err != nil {
			return err
		}
		if err := d.Cordon(ctx, true); err != nil {
			return fmt.Errorf("cordoning node %s: %w", d.Node, err)
		}
	}
	if err := d.Run(ctx, *a.options.Drain); err != nil {
		return fmt.Errorf("draining node %s: %w", d.Node, err)
	}
	return nil
}

// noteUndrained says of another minor release that the version skew policy of Kubernetes asks for a drain
// (kubernetes.io/releases/version-skew-policy, "kubelet"), where there are pods.
func (a attempt) noteUndrained(ctx context.Context) {
	if a.options.Drain != nil || a.change.Have == nil || a.change.Want.Snapshot || a.change.Have.Version.Minor() == a.change.Want.Version.Minor() || !a.host.Live {
		return
	}
	d, err := a.host.Cluster().OpenDrain(a.change.Have)
	if err != nil {
		return // it is not a node, or nobody can tell
	}
	ctx, cancel := context.WithTimeout(ctx, askBriefly)
	defer cancel()
	pods, err := d.Check(ctx, drain.Options{Force: true, DeleteEmptyDir: true})
	if err == nil && len(pods) > 0 {
		a.host.note("%s run on this node, which Kubernetes asks to be drained before its kubelet goes to another minor release: --drain does that",
			release.FormatCount(len(pods), "pod", "pods"))
	}
}

// askBriefly bounds a question that is only nice to have an answer to.
const askBriefly = 2 * time.Second

const (
	// comeBackTime bounds how long a node is tried to be uncordoned, and comeBackPause is between two tries: the API server may
	// be on this host, and start again with its kubelet. comeBackOnce bounds a single try.
	comeBackTime  = 30 * time.Second
	comeBackPause = 2 * time.Second
	comeBackOnce  = 3 * time.Second
	// comeBackRefused is for how long an API server may refuse it until that is final: one that has just started knows nobody yet.
	comeBackRefused = 2 * time.Minute
)

// comeBack uncordons the node, if and only if a change has cordoned it. What does not succeed stays recorded, and is tried again by the next
// run, and by systemd until the API server answers. once tries no second time, as at boot, when there is no network yet.
func (h *Host) comeBack(ctx context.Context, once bool) {
	recorded, err := h.Store().Cordon().Load()
	if recorded == nil && err == nil {
		return
	}
	ctx = context.WithoutCancel(ctx)
	again := false
	if err == nil {
		c := cordoned{h, recorded}
		if again, err = c.uncordonPatiently(ctx, once); err != nil {
			again = again && c.arm(ctx)
		}
	}
	switch {
	case err == nil:
		h.note("node %s is uncordoned", recorded.Node)
	case again:
		h.note("the node is still cordoned: %v; systemd tries again every %s, and kubeletctl uncordon does it at once", err, systemd.RecoverEvery)
	default:
		h.disarm(ctx)
		h.note("the node is still cordoned: %v; kubeletctl uncordon, and the next change of this host, try again", err)
	}
}

// cordoned is a node that a change has cordoned.
type cordoned struct {
	host *Host
	*store.Cordon
}

// arm has systemd try again to uncordon it, where the recovery that is installed does that.
func (c cordoned) arm(ctx context.Context) bool {
	unit, err := c.host.Tree.ReadFile(path.Join(hostfs.UnitDir, systemd.RecoverService))
	return err == nil && bytes.Contains(unit, []byte(store.CordonFile)) && c.host.Units.Arm(ctx, systemd.RecoverEvery) == nil
}

// uncordonPatiently tries again for a while, unless once, while the API server cannot be reached; again reports that what failed may pass.
func (c cordoned) uncordonPatiently(ctx context.Context, once bool) (again bool, err error) {
	limit := comeBackTime
	if once {
		limit = comeBackOnce
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		again, err = c.uncordon(ctx)
		if err == nil || once || !again || !c.RefusedSince.IsZero() {
			return again, err
		}
		select {
		case <-ctx.Done():
			return again, err
		case <-time.After(comeBackPause):
		}
	}
}

// uncordon is one try.
func (c cordoned) uncordon(ctx context.Context) (again bool, err error) {
	client, err := node.OpenIn(c.host.Tree, c.Kubeconfig)
	if err != nil {
		return false, err // credentials that are gone do not come back
	}
	err = drain.New(client, c.Node).Cordon(ctx, false)
	if err == nil {
		return false, c.host.Cluster().ForgetCordon(ctx)
	}
	var (
		status  *node.StatusError
		untrue  *tls.CertificateVerificationError
		refused = errors.As(err, &status) && status.Code < 500 && status.Code != http.StatusTooManyRequests || errors.As(err, &untrue)
	)
	if refused == c.RefusedSince.IsZero() {
		c.RefusedSince = time.Time{}
		if refused {
			c.RefusedSince = time.Now()
		}
		if save := c.host.Store().Cordon().Save(*c.Cordon); save != nil {
			return false, errors.Join(err, save)
		}
	}
	return !refused || time.Since(c.RefusedSince) < comeBackRefused, err
}

// comeBack ends what stepAside has begun, when a change is over. After an uninstall the node stays as it is, and so does one that could not
// be put back.
func (a attempt) comeBack(ctx context.Context, err error) {
	var stuck *NotRolledBackError
	var unclean *CleanupError
	if errors.As(err, &stuck) || a.change.Want.Snapshot && errors.As(err, &unclean) {
		return
	}
	a.host.comeBack(ctx, false) // an uninstall that is done has forgotten the cordon
}
