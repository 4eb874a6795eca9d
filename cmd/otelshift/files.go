package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// newFile is what a file of a checkout becomes.
type newFile struct {
	name string
	data []byte
	mode os.FileMode
}

// besides is behind the name of what is not in its place yet.
const besides = ".otelshift-tmp"

// unwrittenHint is the next step where a checkout took nothing.
const unwrittenHint = "nothing was written; look at the rights of the folder, at its room, and at what is in the way"

// writeAll writes all of the files or none: each beside its place first, then
// one rename for each, so that none is ever half written.
func writeAll(root *os.Root, files []newFile) (err error) {
	var folders []string // that were not there, outer ones first
	defer func() {
		if err == nil {
			return
		}
		for _, f := range files {
			_ = root.Remove(f.name + besides) // the first error is the one to report
		}
		for _, name := range slices.Backward(folders) {
			_ = root.Remove(name)
		}
	}()
	for _, f := range files {
		folders = append(folders, missing(root, filepath.Dir(f.name))...)
		if err := root.MkdirAll(filepath.Dir(f.name), 0o755); err != nil {
			return fmt.Errorf("writing %s: %w", f.name, cause(err))
		}
		err := root.WriteFile(f.name+besides, f.data, f.mode)
		if err == nil {
			err = root.Chmod(f.name+besides, f.mode) // whatever umask says
		}
		if err != nil {
			return fmt.Errorf("writing %s: %w", f.name, cause(err))
		}
	}
	for _, f := range files {
		if err := root.Rename(f.name+besides, f.name); err != nil {
			return fmt.Errorf("replacing %s: %w", f.name, cause(err))
		}
	}
	return nil
}

// missing are the folder and those above it that are not there, outer ones first.
func missing(root *os.Root, folder string) []string {
	var out []string
	for ; ; folder = filepath.Dir(folder) {
		if _, err := root.Lstat(folder); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		out = append(out, folder)
	}
	slices.Reverse(out)
	return out
}

// behindLinks is the file that a name leads to, below the root, there or not.
func behindLinks(root *os.Root, name string) (newFile, error) {
	for range 8 {
		info, err := root.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			return newFile{name: name, mode: 0o644}, nil
		}
		if err != nil {
			return newFile{}, cause(err)
		}
		if info.IsDir() {
			return newFile{}, syscall.EISDIR
		}
		if info.Mode()&os.ModeSymlink == 0 {
			return newFile{name: name, mode: info.Mode().Perm()}, nil
		}
		link, err := root.Readlink(name)
		if err != nil {
			return newFile{}, fmt.Errorf("following a link: %w", cause(err))
		}
		if filepath.IsAbs(link) {
			return newFile{}, fmt.Errorf("the link to %s leads out of the folder", link)
		}
		name = filepath.Join(filepath.Dir(name), link)
	}
	return newFile{}, errors.New("too many links")
}

// cause is an error without the path that our own message names better.
func cause(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	var link *os.LinkError
	if errors.As(err, &link) {
		return link.Err
	}
	return err
}
