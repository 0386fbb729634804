package cmd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/kubeletctl/kubeletctl/install"
)

// treeFiles gives systemd.Offline the files of a tree.
type treeFiles struct{ tree install.Tree }

// at has do work on what a path leads to here; the last element is not followed when it is a symlink.
func (t treeFiles) at(path string, do func(name string) error) error {
	name, err := t.tree.Locate(path)
	if err != nil {
		return err
	}
	return do(name)
}

func (t treeFiles) ReadFile(path string) ([]byte, error) {
	name, err := t.tree.LocateDir(path)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(name)
}

func (t treeFiles) ReadDir(path string) ([]os.DirEntry, error) {
	name, err := t.tree.LocateDir(path)
	if err != nil {
		return nil, err
	}
	return os.ReadDir(name)
}

func (t treeFiles) Readlink(path string) (target string, err error) {
	err = t.at(path, func(name string) error { target, err = os.Readlink(name); return err })
	return target, err
}

func (t treeFiles) Lstat(path string) (info os.FileInfo, err error) {
	err = t.at(path, func(name string) error { info, err = os.Lstat(name); return err })
	return info, err
}

func (t treeFiles) MkdirAll(path string, mode fs.FileMode) error {
	name, err := t.tree.LocateDir(path)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(name, mode); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

func (t treeFiles) Symlink(target, path string) error {
	return t.at(path, func(name string) error {
		if err := renameio.Symlink(target, name); err != nil {
			return err
		}
		return syncDir(filepath.Dir(name))
	})
}

func (t treeFiles) Remove(path string) error {
	return t.at(path, func(name string) error {
		if err := os.Remove(name); errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if err != nil {
			return err
		}
		return syncDir(filepath.Dir(name))
	})
}

func (t treeFiles) Rmdir(path string) error {
	return t.at(path, func(name string) error {
		info, err := os.Lstat(name)
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return &fs.PathError{Op: "rmdir", Path: path, Err: errors.New("not a directory")}
		}
		return os.Remove(name)
	})
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
