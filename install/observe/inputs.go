package observe

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/kubeletctl/kubeletctl/install/hostfs"
	"github.com/kubeletctl/kubeletctl/install/plan"
)

// inputs are the files beside its configuration that a kubelet of a generation reads when it starts, and only then: the
// drop-ins of --config-dir, the configuration of credential providers, what its configuration names, and, for systemd,
// drop-ins of the unit and their environment files. A directory stands for what was added to it or removed from it. What does
// not exist, and the process pid could not have been started without, was removed by now. Files that cannot be reached are left
// out: whether they matter is kubelet's and systemd's to say. It is an error that this user may not look.
func (o Observer) inputs(g *plan.Generation, dropIns []DropIn, pid int, now time.Time) ([]plan.Input, error) {
	c := inputs{Observer: o}
	for _, file := range g.StartFiles {
		c.add(file)
	}
	c.configDir(g)
	if file, given := g.Arg("cloud-config"); given {
		c.add(file)
	}
	if file, given := g.Arg("image-credential-provider-config"); given {
		c.walk(file, ".json", ".yaml", ".yml") // a directory from 1.34 on
	}
	for _, file := range c.missing {
		if !slices.Contains(g.Requires, file) { // without one of those systemd would start nothing: it is no reason to stop what runs
			c.found = append(c.found, plan.Input{Path: file, Modified: now})
		}
	}
	for _, d := range dropIns {
		if g.File(d.Path).Kind == plan.Absent {
			c.add(d.Path)
		}
		for _, a := range d.Unit.Values("Service", "EnvironmentFile") {
			if file, optional := strings.CutPrefix(a.Value, "-"); path.IsAbs(file) && !strings.ContainsAny(file, "*?[%") {
				c.environmentFile(file, optional, now)
			}
		}
	}
	if len(c.gone) > 0 && o.lostVariables(pid, dropIns) {
		c.found = append(c.found, c.gone...)
	}
	return c.found, c.err
}

// ConfigDropIns are the files of --config-dir, in the order in which kubelet merges them. One that cannot be read is left out.
func (o Observer) ConfigDropIns(g *plan.Generation) (files []plan.File) {
	c := inputs{Observer: o}
	c.configDir(g)
	for _, in := range c.found {
		if content, err := o.Tree.ReadFile(in.Path); err == nil { // a directory has none
			files = append(files, plan.TextFile(in.Path, 0, content))
		}
	}
	return files
}

// inputs collects files.
type inputs struct {
	Observer
	found []plan.Input
	// missing are those that do not exist; gone are environment files that need not have existed either.
	missing []string
	gone    []plan.Input
	err     error
}

// environmentFile notes an environment file of a drop-in. Of an optional one that does not exist its directory tells when it
// may have been removed.
func (c *inputs) environmentFile(file string, optional bool, now time.Time) {
	if _, err := c.Tree.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		c.add(file)
		return
	}
	if !optional {
		c.found = append(c.found, plan.Input{Path: file, Modified: now})
	} else if dir, err := c.Tree.Stat(path.Dir(file)); err == nil {
		c.gone = append(c.gone, plan.Input{Path: file, Modified: dir.ModTime()})
	}
}

// add notes a file or a directory, if it is there.
func (c *inputs) add(name string) {
	info, err := c.Tree.Stat(name)
	if err == nil {
		c.found = append(c.found, plan.Input{Path: name, Modified: hostfs.ChangeTime(info)})
	} else if errors.Is(err, fs.ErrPermission) {
		c.err = errors.Join(c.err, err)
	} else if errors.Is(err, fs.ErrNotExist) {
		c.missing = append(c.missing, name)
	}
}

// configDir notes the files of --config-dir, and its directories.
func (c *inputs) configDir(g *plan.Generation) {
	if dir, given := g.Arg("config-dir"); given {
		c.walk(dir, ".conf")
	}
}

// walk notes a file, or a directory and all in it that has one of the endings, in the order in which kubelet reads them.
func (c *inputs) walk(name string, endings ...string) {
	c.add(name)
	entries, err := c.Tree.ReadDir(name)
	if err != nil {
		return // it is a file, or add has told
	}
	for _, e := range entries {
		file := path.Join(name, e.Name())
		switch {
		case e.IsDir():
			c.walk(file, endings...)
		case slices.Contains(endings, path.Ext(file)):
			c.add(file)
		}
	}
}
