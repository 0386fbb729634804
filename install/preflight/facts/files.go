package facts

import (
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"
	"sigs.k8s.io/yaml"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
)

// files looks at what was asked for.
func files(_ context.Context, w Where) func(*Facts) {
	found := map[string]File{}
	for _, name := range w.Files {
		found[name] = look(w.Observer.Tree, name)
	}
	return func(f *Facts) { f.Files = found }
}

// look finds out about one file, and about the file system that it lies on or would lie on.
func look(tree hostfs.Tree, name string) File {
	var f File
	info, err := tree.Stat(name)
	f.Err = hostfs.Pathless(err)
	f.Dir = err == nil && info.IsDir()
	if err == nil && info.Mode().IsRegular() {
		f.Content, f.Err = tree.ReadRegular(name, maxText)
	}
	// A name in it: what counts is whether something can be made there.
	f.Unwritable = hostfs.Pathless(tree.Writable(path.Join(name, "kubeletctl")))
	if errors.Is(f.Unwritable, fs.ErrPermission) && os.Geteuid() != 0 {
		f.Unwritable = nil // root may
	}
	var st unix.Statfs_t
	for dir := name; ; dir = path.Dir(dir) {
		real, err := tree.PathFollowed(dir)
		if err == nil {
			err = unix.Statfs(real, &st)
		}
		if err == nil || dir == path.Dir(dir) {
			break
		}
	}
	f.NoExec, f.Type = st.Flags&unix.ST_NOEXEC != 0, int64(st.Type)
	block := uint64(st.Bsize)
	f.Size, f.Free, f.Inodes, f.FreeInodes = st.Blocks*block, st.Bavail*block, st.Files, st.Ffree
	return f
}

// resolver reads the name servers of a resolv.conf.
func resolver(_ context.Context, w Where) func(*Facts) {
	if w.ResolvConf == "" {
		return nothing
	}
	data, err := w.Observer.Tree.ReadRegular(w.ResolvConf, maxText)
	r := Resolver{Err: hostfs.Pathless(err), Known: true}
	for line := range strings.Lines(string(data)) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "nameserver" {
			r.Servers = append(r.Servers, words[1])
		}
	}
	return func(f *Facts) { f.Resolver = r }
}

// providers looks for the programs that the configuration of credential providers names, one file or, from 1.34 on, a directory.
func providers(_ context.Context, w Where) func(*Facts) {
	tree := w.Observer.Tree
	if w.ProviderConfig == "" {
		return nothing
	}
	names := []string{w.ProviderConfig}
	if info, err := tree.Stat(w.ProviderConfig); err == nil && info.IsDir() {
		names = nil
		entries, _ := tree.ReadDir(w.ProviderConfig)
		for _, e := range entries {
			switch path.Ext(e.Name()) {
			case ".json", ".yaml", ".yml":
				names = append(names, path.Join(w.ProviderConfig, e.Name()))
			}
		}
	}
	var all []Provider
	var failed error
	for _, name := range names {
		var config struct{ Providers []struct{ Name string } }
		data, err := tree.ReadRegular(name, maxText)
		if err == nil {
			data, err = yaml.YAMLToJSON(data)
		}
		if err == nil {
			err = json.Unmarshal(data, &config)
		}
		if err != nil {
			failed = fmt.Errorf("%s: %w", name, hostfs.Pathless(err))
		}
		for _, p := range config.Providers {
			file := path.Join(w.ProviderDir, p.Name)
			all = append(all, Provider{p.Name, file, executable(tree, file)})
		}
	}
	return func(f *Facts) { f.Providers, f.ProvidersErr = all, failed }
}

var pluginType = regexp.MustCompile(`"type"\s*:\s*"([\w.-]+)"`)

// plugins are those that the files of CNI name (github.com/containernetworking/cni, libcni.ConfFiles).
func plugins(_ context.Context, w Where) func(*Facts) {
	const dir = "/etc/cni/net.d"
	var names []string
	entries, _ := w.Observer.Tree.ReadDir(dir) // most hosts have none before they join
	for _, e := range entries {
		switch path.Ext(e.Name()) {
		case ".conf", ".conflist", ".json":
			data, _ := w.Observer.Tree.ReadRegular(path.Join(dir, e.Name()), maxText)
			for _, found := range pluginType.FindAllSubmatch(data, -1) {
				names = append(names, string(found[1]))
			}
		}
	}
	return func(f *Facts) { f.CNI = names }
}

// executable reports, as an error, why a program could not be started: it is not there, may not be executed, or its loader is
// missing. A script has no loader.
func executable(tree hostfs.Tree, file string) error {
	info, err := tree.Stat(file)
	if err != nil {
		return hostfs.Pathless(err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return errors.New("it is not executable")
	}
	f, err := tree.Open(file)
	if err != nil {
		return hostfs.Pathless(err)
	}
	defer f.Close()
	program, err := elf.NewFile(f)
	if err != nil {
		return nil
	}
	for _, segment := range program.Progs {
		if segment.Type != elf.PT_INTERP || segment.Filesz > maxText {
			continue
		}
		name, err := io.ReadAll(segment.Open())
		loader := strings.TrimRight(string(name), "\x00")
		if _, missing := tree.Stat(loader); err == nil && errors.Is(missing, fs.ErrNotExist) {
			return fmt.Errorf("its loader %s does not exist", loader)
		}
	}
	return nil
}
