package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
	defer func() {
		for _, f := range files {
			if err != nil {
				_ = root.Remove(f.name + besides) // the first error is the one to report
			}
		}
	}()
	for _, f := range files {
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
