package document

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"

	yamlnode "go.yaml.in/yaml/v4"
)

const (
	configKind  = "KubeletConfiguration"
	configGroup = "kubelet.config.k8s.io/"
	specKind    = "KubeletInstallation"
	specGroup   = "kubeletctl.dev/"
)

// identity is what a YAML or JSON document says of itself.
type identity struct {
	apiVersion, kind string
	keys             []string // of its top level
	line             int
	list             bool
}

// structuredKind tells what a YAML or JSON file is: by the first document in it, which is all that a kubelet reads.
func (f File) structuredKind(text []byte) (Kind, error) {
	documents := identify(text)
	first := documents[0]
	switch {
	case first.kind == specKind, strings.HasPrefix(first.apiVersion, specGroup):
		return Spec, nil
	case first.isConfig():
		return Config, nil
	}
	unknown := &UnknownError{Name: f.Name, What: first.what()}
	if i := slices.IndexFunc(documents, func(d identity) bool { return d.kind == configKind }); i > 0 {
		unknown.hint = fmt.Sprintf("the %s in line %d is a second document, which a kubelet does not read: give it a file of its own", configKind, documents[i].line)
	} else if first.holds(userDataKeys...) {
		unknown.hint = writeOut
	}
	return "", unknown
}

// isConfig reports whether a document is a KubeletConfiguration, or nothing else: its reader says then what it lacks.
func (i identity) isConfig() bool {
	switch {
	case i.list:
		return false
	case i.kind == configKind:
		return true
	case strings.HasPrefix(i.apiVersion, configGroup):
		return !slices.Contains([]string{"CredentialProviderConfig", "SerializedNodeConfigSource", "ImagePullIntent", "ImagePulledRecord"}, i.kind)
	}
	return i.kind == "" && i.apiVersion == "" && !i.holds(userDataKeys...) && !i.holds("kubeletconfig", "services", "ignition", "machine")
}

// userDataKeys are what user-data of cloud-init has at its top.
var userDataKeys = []string{"write_files", "runcmd", "bootcmd", "packages", "ssh_authorized_keys"}

func (i identity) holds(keys ...string) bool {
	return slices.ContainsFunc(keys, func(key string) bool { return slices.Contains(i.keys, key) })
}

// what says what a document is that is no configuration of a kubelet.
func (i identity) what() string {
	switch {
	case i.list:
		return "a list"
	case i.kind == "Config" && i.holds("clusters", "users", "contexts", "current-context"):
		return "a kubeconfig"
	case i.kind != "":
		return Article(i.kind)
	case i.holds(userDataKeys...):
		return "user-data of cloud-init"
	case i.holds("kubeletconfig"):
		return "an answer of /configz, the configuration that a kubelet has in force"
	case i.holds("ignition"):
		return "an Ignition configuration"
	}
	return "YAML of another program"
}

// identify lists the documents of a YAML or JSON text; there is always one. What a parser refuses is looked at line by line.
func identify(text []byte) []identity {
	var all []identity
	decoder := yamlnode.NewDecoder(bytes.NewReader(text))
	for {
		var node yamlnode.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if len(all) == 0 {
				all = append(all, guess(text))
			}
			break
		}
		all = append(all, ofNode(&node))
	}
	if len(all) == 0 {
		all = append(all, identity{})
	}
	return all
}

func ofNode(node *yamlnode.Node) identity {
	for node.Kind == yamlnode.DocumentNode && len(node.Content) > 0 {
		node = node.Content[0]
	}
	i := identity{line: node.Line, list: node.Kind == yamlnode.SequenceNode}
	if node.Kind != yamlnode.MappingNode {
		return i
	}
	for n := 0; n+1 < len(node.Content); n += 2 {
		key, value := node.Content[n].Value, node.Content[n+1].Value
		i.keys = append(i.keys, key)
		switch key {
		case "kind":
			i.kind = value
		case "apiVersion":
			i.apiVersion = value
		}
	}
	return i
}

var topLevel = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?m)^[ \t]*[{,]?[ \t]*["']?(kind|apiVersion)["']?[ \t]*:[ \t]*["']?([\w./-]+)`)
})

// guess is for what is not YAML as it should be: a mistake in it does not make it something else.
func guess(text []byte) identity {
	var i identity
	for _, found := range topLevel().FindAllSubmatch(text, -1) {
		if key, value := string(found[1]), string(found[2]); key == "kind" && i.kind == "" {
			i.kind = value
		} else if key == "apiVersion" && i.apiVersion == "" {
			i.apiVersion = value
		}
	}
	return i
}
