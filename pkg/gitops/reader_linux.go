package gitops

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
)

// Reader gives one goroutine a way to read many files, best folder by folder:
// the folders on the way stay open until done is called, so that a file costs an
// openat, fstat, read and close. [os.File] costs nine calls and an allocation of
// what it needs to be waited for, which no regular file can be.
//
// A file lands in the buffer, which is handed back grown if it had to. Where a
// file is larger than the limit, in bytes, its size is returned and no data. What
// the short way does not reach, a symbolic link among it, goes through
// [os.Root], and so do errors.
func (w working) Reader() (read func(name string, buffer []byte, limit int64) (data, grown []byte, size int64, err error), done func()) {
	r := &reader{root: w.root}
	return func(name string, buffer []byte, limit int64) ([]byte, []byte, int64, error) {
		switch data, grown, size, err := r.read(name, buffer, limit); {
		case err == nil:
			return data, grown, size, nil
		case errors.Is(err, errIrregular): // to open a pipe would wait for its other end
			return nil, buffer, 0, fmt.Errorf("reading %s: %w", name, err)
		}
		data, err := w.ReadFile(name)
		if size := int64(len(data)); size > limit {
			return nil, buffer, size, err
		}
		return data, buffer, int64(len(data)), err
	}, r.close
}

// ReadDir implements fs.ReadDirFS. A folder that [os.Root] opened looks at every
// entry by itself; the listing says what is a file, a folder or a link as well.
func (w working) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := w.list(name)
	if err != nil {
		return w.visible.ReadDir(name)
	}
	return entries, nil
}

func (w working) list(name string) ([]fs.DirEntry, error) {
	if hidden(name) || !fs.ValidPath(name) {
		return nil, errElsewhere
	}
	way := &reader{root: w.root}
	defer way.close()
	folder, err := way.enter(path.Dir(name))
	if err != nil {
		return nil, err
	}
	handle, err := openat(folder, path.Base(name), syscall.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	opened := os.NewFile(uintptr(handle), path.Join(w.root.Name(), name))
	defer opened.Close() //nolint:errcheck // read-only
	entries, err := opened.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return hidden(path.Join(name, e.Name())) })
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}

var (
	errElsewhere = errors.New("not reached the short way")
	errIrregular = errors.New("not a regular file")
)

// reader keeps the folders between the root and the last file open.
type reader struct {
	root    *os.Root
	start   *os.File // the root
	dir     string   // the last file's folder
	names   []string // of the folders below the root
	handles []int    // of the same folders
}

func (r *reader) read(name string, buffer []byte, limit int64) (data, grown []byte, size int64, err error) {
	if hidden(name) || !fs.ValidPath(name) { // openat knows ".."
		return nil, buffer, 0, errElsewhere
	}
	folder, err := r.enter(path.Dir(name))
	if err != nil {
		return nil, buffer, 0, err
	}
	file, err := openat(folder, path.Base(name), syscall.O_NONBLOCK)
	if err != nil {
		return nil, buffer, 0, err
	}
	defer syscall.Close(file) //nolint:errcheck // read-only
	var info syscall.Stat_t
	if err := retry(func() error { return syscall.Fstat(file, &info) }); err != nil {
		return nil, buffer, 0, err
	}
	switch {
	case info.Mode&syscall.S_IFMT != syscall.S_IFREG:
		return nil, buffer, 0, errIrregular
	case info.Size > limit:
		return nil, buffer, info.Size, nil
	case int64(len(buffer)) < info.Size:
		buffer = make([]byte, info.Size+info.Size/4)
	}
	for length := 0; ; {
		if int64(length) >= info.Size {
			return buffer[:length], buffer, info.Size, nil
		}
		n := 0
		err := retry(func() (err error) { n, err = syscall.Read(file, buffer[length:info.Size]); return err })
		if err != nil || n <= 0 { // cut while it was read
			return nil, buffer, 0, errors.Join(errElsewhere, err)
		}
		length += n
	}
}

// enter opens the folders on the way to one, and closes those that are not.
func (r *reader) enter(dir string) (int, error) {
	if r.start == nil {
		start, err := r.root.Open(".")
		if err != nil {
			return 0, err
		}
		r.start = start
	}
	if dir != r.dir {
		r.dir = ""
		var names []string
		if dir != "." {
			names = strings.Split(dir, "/")
		}
		same := 0
		for same < min(len(names), len(r.names)) && names[same] == r.names[same] {
			same++
		}
		r.leave(same)
		for _, name := range names[same:] {
			handle, err := openat(r.last(), name, syscall.O_DIRECTORY)
			if err != nil {
				return 0, err
			}
			r.names, r.handles = append(r.names, name), append(r.handles, handle)
		}
		r.dir = dir
	}
	return r.last(), nil
}

func (r *reader) last() int {
	if len(r.handles) == 0 {
		return int(r.start.Fd())
	}
	return r.handles[len(r.handles)-1]
}

// leave closes all folders but the first ones.
func (r *reader) leave(keep int) {
	for _, handle := range slices.Backward(r.handles[keep:]) {
		_ = syscall.Close(handle) // read-only
	}
	r.names, r.handles = r.names[:keep], r.handles[:keep]
}

func (r *reader) close() {
	r.leave(0)
	r.dir = ""
	if r.start != nil {
		_ = r.start.Close() // read-only
		r.start = nil
	}
}

// openat opens a name of a folder, never what a link leads to.
func openat(folder int, name string, flags int) (handle int, err error) {
	err = retry(func() (err error) {
		handle, err = syscall.Openat(folder, name, syscall.O_RDONLY|syscall.O_CLOEXEC|syscall.O_NOFOLLOW|flags, 0)
		return err
	})
	return handle, err
}

// retry repeats a call that a signal ended.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
