// Package label gives the Node of this host the labels that are wanted, with the credentials of its kubelet: a kubelet itself tells them only
// when it registers its node. The Node authorizer and NodeRestriction let it change most of its own (tried with v1.37.2).
package label

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/kubeletctl/kubeletctl/config"
	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/node"
	"github.com/kubeletctl/kubeletctl/install/plan"
)

// Labelling makes the labels of a Node those that are wanted now. What kubelet may not change, taints above all, an administrator is told.
// Nothing of it is a failure of the change that it belongs to, which is done: a status goes on to show a Node that differs.
type Labelling struct {
	Tree hostfs.Tree
	// Have is the generation of before, Want the one that is installed now.
	Have, Want *plan.Generation
	// Note is called with what was done, and with what could not be done and why.
	Note func(string)
}

func (l Labelling) note(format string, args ...any) { l.Note(fmt.Sprintf(format, args...)) }

// Run changes the labels, as long as the API server answers.
func (l Labelling) Run(ctx context.Context) {
	client, name, err := node.OpenNode(l.Tree, l.Want.Kubeconfig(), l.Want)
	var n *node.Node
	if err == nil {
		asking, cancel := context.WithTimeout(ctx, answerTime)
		n, err = client.Get(asking, name)
		cancel()
	}
	var status *node.StatusError
	switch {
	case errors.As(err, &status) && status.Code == http.StatusNotFound:
		l.note("the labels and taints count when the node is registered: kubeletctl restart does that")
		return
	case err != nil:
		l.note("the labels of the node could not be changed: %v; kubeletctl repair tries again", err)
		return
	}
	patch := labelPatch(n.Labels, l.Have.NodeLabels(), l.Want.NodeLabels(), ownLabels(n.Name, l.Want.Arch))
	if len(patch) > 0 {
		l.patch(ctx, client, n, patch)
	}
	if words := taintWords(n.Taints, registeredTaints(l.Have), registeredTaints(l.Want)); len(words) > 0 {
		l.note("a kubelet may not change the taints of its node; an administrator does: kubectl taint node %s %s", n.Name, strings.Join(words, " "))
	}
}

// answerTime bounds one answer of the API server.
const answerTime = 2 * time.Second

// ownLabels are those that kubelet gives its node itself, where nobody asks for another value (pkg/kubelet/kubelet_node_status.go,
// getNodeLabels).
func ownLabels(name, arch string) map[string]string {
	return map[string]string{
		"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": arch, "beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": arch,
	}
}

// labelPatch is what has to change of the labels of a Node, nil for one that goes; one of kubelet's own gets its value back. One that was not
// recorded before, or has another value by now, is somebody else's, and stays.
func labelPatch(have, before, want, own map[string]string) map[string]*string {
	patch := map[string]*string{}
	for name, value := range want {
		if there, has := have[name]; !has || there != value {
			patch[name] = &value
		}
	}
	for name, value := range before {
		there, has := have[name]
		_, wanted := want[name]
		usual, isOwn := own[name]
		switch {
		case wanted || !has || there != value:
		case !isOwn:
			patch[name] = nil
		case usual != there:
			patch[name] = &usual
		}
	}
	return patch
}

// patch changes all labels at once or, where the API server refuses that, each that it takes.
func (l Labelling) patch(ctx context.Context, client *node.Client, n *node.Node, patch map[string]*string) {
	send := func(labels map[string]*string) error {
		ctx, cancel := context.WithTimeout(ctx, answerTime)
		defer cancel()
		return client.Send(ctx, http.MethodPatch, node.Path(n.Name), map[string]any{"metadata": map[string]any{"labels": labels}}, nil)
	}
	err := send(patch)
	var refused []string
	var status *node.StatusError
	if errors.As(err, &status) && status.Code == http.StatusForbidden {
		err = nil
		for _, name := range slices.Sorted(maps.Keys(patch)) {
			if one := send(map[string]*string{name: patch[name]}); one != nil {
				refused = append(refused, labelWord(name, patch[name]))
				delete(patch, name)
			}
		}
	}
	switch {
	case err != nil:
		l.note("the labels of the node could not be changed: %v; kubeletctl repair tries again", err)
		return
	case len(refused) > 0:
		l.note("the API server lets kubelet not change these labels of its node (%v); an administrator does: kubectl label node %s --overwrite %s",
			status, n.Name, strings.Join(refused, " "))
	}
	if len(patch) > 0 {
		l.note("labels of node %s changed: %s", n.Name, strings.Join(labelWords(patch), " "))
	}
}

func labelWords(patch map[string]*string) (list []string) {
	for _, name := range slices.Sorted(maps.Keys(patch)) {
		list = append(list, labelWord(name, patch[name]))
	}
	return list
}

// labelWord is a label as kubectl label takes it.
func labelWord(name string, value *string) string {
	if value == nil {
		return name + "-"
	}
	return name + "=" + *value
}

// taintWords are what kubectl taint has to be told.
func taintWords(have, before, want []node.Taint) (list []string) {
	for _, t := range want {
		if !slices.Contains(have, t) && !slices.Contains(before, t) { // an agent may have taken it away since, as it is meant to
			list = append(list, t.String())
		}
	}
	for _, t := range before {
		if !slices.Contains(want, t) && slices.Contains(have, t) {
			list = append(list, t.Key+":"+t.Effect+"-")
		}
	}
	return list
}

// registeredTaints are the taints that a generation's kubelet registers its node with.
func registeredTaints(g *plan.Generation) []node.Taint {
	var file struct{ RegisterWithTaints []node.Taint }
	if err := yaml.Unmarshal(g.File(hostfs.ConfigFile).Content, &file); err != nil {
		return nil
	}
	list := file.RegisterWithTaints
	if text, given := g.Arg("register-with-taints"); given {
		for _, t := range config.ParseTaints(text) {
			list = append(list, node.Taint(t))
		}
	}
	return list
}

// OfNode asks the API server for the labels of the node of a generation. It returns nil if the generation sets none, or without an
// answer.
func OfNode(ctx context.Context, tree hostfs.Tree, g *plan.Generation) map[string]string {
	if g.Kubeconfig() == "" || len(g.NodeLabels()) == 0 {
		return nil
	}
	n, err := node.OfHost(ctx, tree, g.Kubeconfig(), "", g)
	if err != nil {
		return nil
	}
	return n.Labels
}
