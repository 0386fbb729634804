package drain

import (
	"context"
	"net/http"
	"net/url"
)

// Pod is what counts of a pod here.
type Pod struct {
	Metadata struct {
		Name, Namespace, UID string
		Annotations          map[string]string
		OwnerReferences      []struct {
			Kind       string
			Controller bool
		}
	}
	Spec struct {
		Volumes []struct{ EmptyDir *struct{} }
	}
	Status struct{ Phase string }
}

func (p Pod) String() string { return p.Metadata.Namespace + "/" + p.Metadata.Name }

// controller is the kind of what starts a pod anew where it is gone; empty for nothing.
func (p Pod) controller() string {
	for _, owner := range p.Metadata.OwnerReferences {
		if owner.Controller {
			return owner.Kind
		}
	}
	return ""
}

// ended reports whether a pod has run to its end.
func (p Pod) ended() bool { return p.Status.Phase == "Succeeded" || p.Status.Phase == "Failed" }

// stays reports whether a drain leaves a pod alone: it has ended, it is the mirror of a static pod, or a DaemonSet would start it here
// again.
func (p Pod) stays() bool {
	_, mirror := p.Metadata.Annotations["kubernetes.io/config.mirror"]
	return mirror || p.ended() || p.controller() == "DaemonSet"
}

func (p Pod) hasEmptyDir() bool {
	for _, volume := range p.Spec.Volumes {
		if volume.EmptyDir != nil {
			return true
		}
	}
	return false
}

// page is how many pods are asked for at once, so that an answer stays small.
const page = "50"

// pods lists the pods of the node.
func (d *Drain) pods(ctx context.Context) (all []Pod, err error) {
	query := url.Values{"fieldSelector": {"spec.nodeName=" + d.Node}, "limit": {page}}
	for {
		var list struct {
			Metadata struct{ Continue string }
			Items    []Pod
		}
		if err := d.send(ctx, http.MethodGet, "/api/v1/pods?"+query.Encode(), nil, &list); err != nil {
			return nil, err
		}
		all = append(all, list.Items...)
		if list.Metadata.Continue == "" {
			return all, nil
		}
		query.Set("continue", list.Metadata.Continue)
	}
}
