package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubeletctl/kubeletctl/cmd/terminal"
	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install"
	"github.com/kubeletctl/kubeletctl/install/join"
	"github.com/kubeletctl/kubeletctl/install/node"
	"github.com/kubeletctl/kubeletctl/install/preflight"
	"github.com/kubeletctl/kubeletctl/install/spec"
	"github.com/kubeletctl/kubeletctl/install/status"
)

// defaultWaitReady is how long a join is waited for.
const defaultWaitReady = 2 * time.Minute

// tokenVariable is the environment variable that may have the token.
const tokenVariable = "KUBELETCTL_TOKEN"

type joinOptions struct {
	server, token, tokenFile, caFile, bootstrap, kubeconfig string
	pins                                                    []string
	noClusterConfig                                         bool
	waitReady                                               time.Duration
	change                                                  changeOptions
}

func joinCommand(a *app) *cobra.Command {
	o := &joinOptions{}
	c := &cobra.Command{
		Use:   "join --server URL --token-file FILE --discovery-token-ca-cert-hash HASH",
		Short: "Join the installed kubelet to a cluster, and wait until its node is Ready",
		Long: `Join gives the installed kubelet what it needs to become a node of a cluster, starts it, and waits until the node is Ready. It
says what it waits for. Run again, it goes on waiting; on a node that is Ready there is nothing to do.

The API server has to prove that it is the one of the cluster before it is shown the token: by the hash of its CA, as
kubeadm prints it, or by the CA itself (--ca-file). A kubeconfig has both in one file. The token is read from a file, from
standard input (-) or from ` + tokenVariable + `, and not from the command line, which every user can read.

What the cluster says of its kubelets (clusterDNS, clusterDomain, cgroupDriver) becomes a part of the recorded spec, where
nobody on this host has asked for something else.`,
		Example: `  kubeletctl join --server https://10.0.0.1:6443 --token-file - \
    --discovery-token-ca-cert-hash sha256:7c1a...
  kubeletctl join --server https://10.0.0.1:6443 --token-file t --ca-file ca.crt
  kubeletctl join --bootstrap-kubeconfig bootstrap.conf --wait-ready 5m`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error { return endedEarly(c.Context(), runJoin(a, c, o)) },
	}
	f := c.Flags()
	f.StringVar(&o.server, "server", "", "`URL` of the API server: https://HOST:PORT")
	f.StringVar(&o.tokenFile, "token-file", "", "`FILE` with the bootstrap token; - is standard input; default: the environment variable "+tokenVariable)
	f.StringArrayVar(&o.pins, "discovery-token-ca-cert-hash", nil, "`HASH` of the public key of the CA, sha256:HEX; repeat it for several CAs")
	f.StringVar(&o.caFile, "ca-file", "", "PEM `FILE` with the CA of the cluster, instead of its hash")
	f.StringVar(&o.bootstrap, "bootstrap-kubeconfig", "", "kubeconfig `FILE` with the token and the CA, or a k0s join token; - is standard input")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig `FILE` with the credentials of this node; - is standard input")
	f.BoolVar(&o.noClusterConfig, "no-cluster-config", false, "do not take over what the cluster says of its kubelets")
	f.DurationVar(&o.waitReady, "wait-ready", defaultWaitReady, "maximum time to wait for the API server, and then for the node to be Ready (0: do not wait)")
	inGroup(f, groupNode)
	o.change.registerIgnore(c)
	o.change.register(c)
	f.BoolVar(&o.change.skipRehearsal, "skip-rehearsal", false, "change the settings without rehearsing kubelet first")
	f.BoolVar(&o.change.force, "force", false, "overwrite files that somebody else wrote or edited")
	inGroup(f, groupChange)
	return c
}

// check finds what is wrong with the flags.
func (o *joinOptions) check(a *app, c *cobra.Command) error {
	errs := []error{o.change.check(a, c.Flags()), refuseEmpty(c.Flags(), "server", "token-file", "ca-file", "bootstrap-kubeconfig", "kubeconfig")}
	if o.waitReady < 0 {
		errs = append(errs, fmt.Errorf("--wait-ready %s is negative", o.waitReady))
	}
	return errors.Join(append(errs, o.checkWay())...)
}

// checkWay finds out whether there is one way to the credentials.
func (o *joinOptions) checkWay() error {
	ways := 0
	for _, way := range []string{o.server, o.bootstrap, o.kubeconfig} {
		if way != "" {
			ways++
		}
	}
	switch {
	case ways != 1:
		return withHint(errors.New("name the cluster by one of --server, --bootstrap-kubeconfig and --kubeconfig"), "kubeadm token create --print-join-command, on a control plane node, prints what --server takes")
	case o.server == "" && (o.tokenFile != "" || o.caFile != "" || len(o.pins) > 0):
		return errors.New("--token-file, --ca-file and --discovery-token-ca-cert-hash are for --server: a kubeconfig has the token and the CA")
	case o.server != "" && (o.caFile == "") == (len(o.pins) == 0):
		return withHint(errors.New("name the CA of the cluster by one of --discovery-token-ca-cert-hash and --ca-file"), "without it any server could take the token")
	}
	return nil
}

// invitation is what a join was given: a discovery, or credentials.
type invitation struct {
	discovery   *join.Discovery
	credentials *join.Credentials
}

// authority is by what the cluster is known.
func (i *invitation) authority() join.Authority {
	if i.discovery != nil {
		return i.discovery.Authority
	}
	return join.Authority{PEM: i.credentials.Authority()}
}

// through makes requests go through a proxy.
func (i *invitation) through(proxy node.Proxy) {
	if i.discovery != nil {
		i.discovery.Proxy = proxy
	} else {
		i.credentials.Through(proxy)
	}
}

// accept finds the credentials, and waits for them until end.
func (i *invitation) accept(ctx context.Context, end time.Time, report func(error)) (*join.Credentials, error) {
	if i.discovery == nil {
		return i.credentials, nil
	}
	return i.discovery.Find(ctx, end, report)
}

// read reads what the flags name.
func (o *joinOptions) read(ctx context.Context, a *app) (*invitation, error) {
	if o.server != "" {
		return o.readDiscovery(ctx, a)
	}
	file := o.bootstrap + o.kubeconfig // one of them is empty
	data, err := a.read(ctx, file)
	if err != nil {
		return nil, err
	}
	credentials, err := join.ReadKubeconfig(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	credentials.Whole = o.kubeconfig != ""
	return &invitation{credentials: credentials}, nil
}

func (o *joinOptions) readDiscovery(ctx context.Context, a *app) (*invitation, error) {
	d := &join.Discovery{Server: strings.TrimSuffix(o.server, "/")}
	if err := join.CheckServer(d.Server); err != nil {
		return nil, fmt.Errorf("--server %q: %w", o.server, err)
	}
	for _, text := range o.pins {
		pin, err := join.ParsePin(text)
		if err != nil {
			return nil, fmt.Errorf("--discovery-token-ca-cert-hash %w", err)
		}
		d.Authority.Pins = append(d.Authority.Pins, pin)
	}
	if o.caFile != "" {
		data, err := a.read(ctx, o.caFile)
		if err == nil {
			err = join.CheckAuthority(data)
		}
		if err != nil {
			return nil, fmt.Errorf("--ca-file: %w", err)
		}
		d.Authority.PEM = data
	}
	token, err := o.readToken(ctx, a)
	d.Token = token
	return &invitation{discovery: d}, err
}

// readToken reads the token from where it may be.
func (o *joinOptions) readToken(ctx context.Context, a *app) (join.Token, error) {
	from, text := tokenVariable, os.Getenv(tokenVariable)
	switch {
	case o.token != "":
		from, text = "token", o.token
	case o.tokenFile != "":
		from = "--token-file"
		data, err := a.read(ctx, o.tokenFile)
		if err != nil {
			return join.Token{}, fmt.Errorf("--token-file: %w", err)
		}
		text = string(data)
	case text == "":
		return join.Token{}, errors.New("there is no token: name a file with --token-file, or set " + tokenVariable)
	}
	token, err := join.ParseToken(text)
	if err != nil {
		return token, fmt.Errorf("%s: %w", from, err)
	}
	return token, nil
}

// joiner is one join.
type joiner struct {
	*work
	options    *joinOptions
	invitation *invitation
	phases     *terminal.Phases
	join       install.Join
	changes    []string // of the recorded spec
	said       string   // what it waits for
}

func runJoin(a *app, c *cobra.Command, o *joinOptions) error {
	if err := o.check(a, c); err != nil {
		return &usageError{err}
	}
	invited, err := o.read(c.Context(), a)
	if err != nil {
		return &usageError{err}
	}
	w := newWork(a, &installOptions{recorded: true, change: o.change}, "join")
	done, err := w.open()
	if err != nil {
		return err
	}
	defer done()
	return newJoiner(w, o, invited).run(c.Context())
}

func newJoiner(w *work, o *joinOptions, invited *invitation) *joiner {
	w.options.wait, w.options.joins = time.Minute, true
	return &joiner{work: w, options: o, invitation: invited, phases: w.app.NewPhases()}
}

func (j *joiner) run(ctx context.Context) error {
	defer j.phases.End()
	if !j.host.Live && !j.work.options.dryRun {
		return preflight.Failed(string(status.Offline), "no kubelet runs in the tree of --root", "run kubeletctl join on the host itself; here it takes --dry-run")
	}
	current, recorded, err := j.recorded(ctx)
	if err != nil {
		return err
	}
	if err := install.CheckJoin(current); err != nil {
		return err
	}
	j.join = install.Join{Host: j.host, Lock: j.lock, Before: current, Name: node.RegisteredName(current)}
	member, err := j.host.Cluster().Member(current)
	if err != nil {
		return err
	}
	switch known := j.invitation.authority(); {
	case member.Server == "" || member.Expired() && known.Is(member.Authority):
		return j.begin(ctx, recorded)
	case !known.Is(member.Authority):
		return preflight.Failed("joined", "this host is joined to another cluster already: "+member.Server, "kubeletctl leave takes it out of that")
	case j.work.options.dryRun:
		return j.print(&joinResult{Result: "unchanged", Server: member.Server})
	}
	if err := j.join.Resume(ctx); err != nil {
		return err
	}
	return j.await(ctx, member.Server, false)
}

// begin joins a host that is in no cluster.
func (j *joiner) begin(ctx context.Context, recorded spec.Spec) error {
	j.invitation.through(node.ProxyOf(j.host.Tree))
	end := time.Now().Add(j.options.waitReady)
	credentials, err := j.invitation.accept(ctx, end, j.report)
	if err == nil {
		err = credentials.Check(ctx, j.join.Name, end, j.report)
	}
	j.phases.End()
	if err != nil {
		return &install.UnchangedError{Err: err}
	}
	if err := j.takeSettings(ctx, recorded, credentials); err != nil {
		return &usageError{err}
	}
	change, err := j.prepare(ctx)
	if err != nil {
		return err
	}
	j.join.Credentials = credentials
	if j.work.options.dryRun {
		j.app.Note("would write " + j.join.Files(change.Want) + ", and start kubelet")
	}
	if err := j.consent(ctx, change); err != nil || j.work.options.dryRun {
		return err
	}
	j.changes = spec.Changes(change.Have, change.Want)
	return j.admit(ctx, change, credentials.Server())
}

// takeSettings makes what the cluster asks for a part of the spec.
func (j *joiner) takeSettings(ctx context.Context, recorded spec.Spec, credentials *join.Credentials) error {
	var fields map[string]any
	if !j.options.noClusterConfig {
		var err error
		if fields, err = credentials.KubeletConfig(ctx); err != nil {
			j.app.Note(fmt.Sprintf("the settings of the cluster for kubelet (kube-system/kubelet-config) could not be read: %v", err))
		}
	}
	next, kept, err := recorded.WithCluster(install.ClusterSettings(fields, !credentials.Whole))
	if err != nil {
		return err
	}
	for _, s := range kept {
		if s.Origin != "" {
			j.app.Note(fmt.Sprintf("kept: %s (%s)", spec.SettingName(s.Path), s.Origin))
		}
	}
	j.spec, j.positions, j.spec.FromTree = next, config.Positions{}, true
	return j.spec.Check()
}

// admit carries the join out. What is refused is undone.
func (j *joiner) admit(ctx context.Context, change *install.Change, server string) error {
	if err := j.join.Prepare(ctx); err != nil {
		return j.join.Undo(ctx, err)
	}
	j.app.detach()
	if _, err := j.apply(ctx, change); err != nil {
		return j.join.Undo(ctx, err)
	}
	installed, err := j.host.Installed()
	if err == nil {
		err = j.join.Start(ctx, installed)
	}
	if err != nil {
		return j.join.Undo(ctx, err)
	}
	return j.await(ctx, server, true)
}

// report says what is waited for, once.
func (j *joiner) report(err error) {
	if text := err.Error(); text != j.said {
		j.said = text
		j.phases.Begin("waiting: " + text)
	}
}

// await waits until the node is Ready. began reports that this run has begun the join, so that it can be undone.
func (j *joiner) await(ctx context.Context, server string, began bool) error {
	n, err := j.join.Wait(ctx, j.options.waitReady, j.report)
	j.phases.End()
	var state *join.Error
	waits := errors.As(err, &state) && state.Trusted()
	if err != nil && !waits && began {
		return j.join.Undo(ctx, err)
	}
	if finish := j.join.Finish(); finish != nil {
		return errors.Join(err, finish)
	}
	switch {
	case waits && j.options.waitReady == 0:
		return j.print(&joinResult{Result: "started", Server: server, Waits: state.Message})
	case waits:
		why := fmt.Sprintf("timed out (--wait-ready %s)", j.options.waitReady)
		if ctx.Err() != nil {
			why = install.ContextError(ctx).Error()
		}
		return &joinWaitsError{state, why}
	case err != nil:
		return err
	}
	r := &joinResult{Result: "joined", Node: n.Name, Server: server}
	if !began && j.said == "" {
		r.Result = "unchanged"
	}
	if request := j.join.Serving(ctx); request != nil {
		j.app.Warn(fmt.Sprintf("the request %s for a serving certificate waits to be approved: kubectl certificate approve %s", request.Name, request.Name))
		r.Serving = request.Name
	}
	return j.print(r)
}

// joinWaitsError reports a join that has begun and is not at its end.
type joinWaitsError struct {
	state *join.Error
	why   string // nobody waits any longer
}

func (e *joinWaitsError) Error() string { return e.why + ": " + e.state.Error() }

// Hint says what to do about it.
func (e *joinWaitsError) Hint() string {
	return e.state.Hint() + "; kubelet goes on by itself, and kubeletctl join waits again"
}

// joinResult is the document of a join.
type joinResult struct {
	Result  string   `json:"result"` // joined, unchanged or started
	Node    string   `json:"node,omitempty"`
	Server  string   `json:"server"`
	Waits   string   `json:"waits,omitempty"`
	Changes []string `json:"changes,omitempty"`
	// Serving is the request for a serving certificate that waits to be approved.
	Serving string   `json:"servingRequest,omitempty"`
	Notes   []string `json:"notes,omitempty"`
}

func (j *joiner) print(r *joinResult) error {
	a := j.app
	if a.Structured() {
		r.Changes, r.Notes = j.changes, a.Notes()
		a.Print(r)
		return nil
	}
	switch r.Result {
	case "joined":
		terminal.Say(a.Out, "joined %s: the node %s is Ready", r.Server, r.Node)
	case "started":
		terminal.Say(a.Out, "joining %s: %s", r.Server, r.Waits)
	default:
		terminal.Say(a.Out, "joined to %s already: nothing to do", r.Server)
	}
	return nil
}
