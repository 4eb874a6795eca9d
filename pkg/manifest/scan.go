package manifest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"
	"golang.org/x/sync/errgroup"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// Options bound a scan.
type Options struct {
	// Include and Exclude are doublestar globs over slash-separated paths. No
	// Include means everything.
	Include, Exclude []string
	// MaxFileSize in bytes; a larger file that holds a marker is reported, never
	// parsed. 0 means 5 MiB.
	MaxFileSize int64
	// Repository is the repository's own URL: what Applications take from others
	// is not read from it. Empty: not known, and a path that is there is meant.
	Repository string
	// Every keeps workloads without any sign of an agent too: their images may
	// load one.
	Every bool
}

// Result is what a repository holds.
type Result struct {
	// Workloads that load an agent or carry signs of SkyWalking, sorted by
	// file, document and item; with Options.Every the others too.
	Workloads []fleet.Workload
	// Files that hold a SkyWalking marker but could not be read as manifests.
	Files []fleet.FileReason
	// Read counts the YAML files that were looked at.
	Read int
	// Others counts the workloads without any agent.
	Others int
	// Remaining are places that speak of SkyWalking and belong to no workload
	// that loads it.
	Remaining []fleet.Remaining

	// Policies are the NetworkPolicies that say where pods may send to, sorted by
	// file; all of them only where a workload loads SkyWalking.
	Policies []Policy
	// Foreign is set where something else says that too, in a form that is not
	// read: a CiliumNetworkPolicy, a policy in a Helm template.
	Foreign bool
	// Namespaces are the labels of the Namespaces that the repository holds.
	Namespaces map[string]map[string]string

	// Resources are the objects that decide what operators inject:
	// Instrumentation (OpenTelemetry) and SwAgent (SWCK), by file.
	Resources []Resource

	trees    []tree      // for Prove
	rendered []chartTree // for Prove
}

// Scan reads the manifests of a repository. One file that cannot be read as
// YAML is a reason in the result; the error is about the file system or the
// context.
func Scan(ctx context.Context, files fs.FS, o Options) (Result, error) {
	if o.MaxFileSize == 0 {
		o.MaxFileSize = yamledit.DefaultMaxSize
	}
	for _, glob := range slices.Concat(o.Include, o.Exclude) {
		if !doublestar.ValidatePattern(glob) {
			return Result{}, fmt.Errorf("reading glob %q: %w", glob, doublestar.ErrBadPattern)
		}
	}
	s := &scanner{files: files, options: o, encoded: encodedNeedles(), index: newIndex()}
	s.index.every, s.index.repository = o.Every, o.Repository
	if err := s.walk(ctx); err != nil {
		return Result{}, err
	}
	if err := s.readGenerated(ctx); err != nil {
		return Result{}, err
	}
	if err := s.readFormats(ctx); err != nil {
		return Result{}, err
	}
	if err := s.readUsers(ctx); err != nil {
		return Result{}, err
	}
	if err := s.readSources(ctx); err != nil {
		return Result{}, err
	}
	if err := s.readPolicies(ctx); err != nil {
		return Result{}, err
	}
	return s.index.result(ctx, files)
}

type scanner struct {
	files   fs.FS
	options Options
	encoded [][]byte

	mutex sync.Mutex // guards what follows
	index *index
	users []string // files without needle that take variables from other objects
	// policies are files without needle that say where pods may send to.
	policies []string
	links    []string // symbolic links
}

// readInto reads a file into a buffer, which grows as needed. A file above the
// limit, in bytes, gives its size and no data.
type readInto func(name string, buffer []byte, limit int64) (data, grown []byte, size int64, err error)

// reader gives one goroutine its way to read: the file system's own where it has
// one for many files in a row.
func (s *scanner) reader() (read readInto, done func()) {
	if f, ok := s.files.(interface {
		Reader() (func(name string, buffer []byte, limit int64) (data, grown []byte, size int64, err error), func())
	}); ok {
		return f.Reader()
	}
	return func(name string, buffer []byte, limit int64) ([]byte, []byte, int64, error) {
		return load(s.files, name, buffer, limit)
	}, func() {}
}

// prefetcher is a tree on a server: what is named together is asked for
// together.
type prefetcher interface {
	Prefetch(ctx context.Context, names []string) error
}

// selected reports whether the globs choose the path.
func (o Options) selected(name string) bool {
	if !included(name, o.Include) {
		return false
	}
	for _, glob := range o.Exclude {
		if ok, _ := doublestar.Match(glob, name); ok {
			return false
		}
	}
	return true
}

func included(name string, globs []string) bool {
	if len(globs) == 0 {
		return true
	}
	for _, glob := range globs {
		if ok, _ := doublestar.Match(glob, name); ok {
			return true
		}
	}
	return false
}

func isYAML(name string) bool {
	switch path.Ext(name) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

// writtenAsYAML reports a file that is YAML for those that name it: a
// kustomization takes files called .YAML, which nobody takes from a folder.
func writtenAsYAML(name string) bool { return isYAML(strings.ToLower(name)) }

// walk lists the files and reads them with as many workers as there are
// processors.
func (s *scanner) walk(ctx context.Context) error {
	// Names go in lots: handing over each costs more than screening a file.
	const lot = 128
	lots := make(chan []string, 16)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(lots)
		fetcher, remote := s.files.(prefetcher)
		var names []string
		send := func(names []string) error {
			select {
			case lots <- names:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		err := fs.WalkDir(s.files, ".", func(name string, entry fs.DirEntry, err error) error {
			if err != nil {
				return fmt.Errorf("listing %s: %w", name, err)
			}
			switch {
			case !utf8.ValidString(entry.Name()):
				return s.unnameable(name, entry)
			case entry.IsDir():
				if entry.Name() == ".git" {
					return fs.SkipDir
				}
				return ctx.Err()
			case !s.look(name, entry):
				return nil
			}
			if names = append(names, name); len(names) == lot && !remote {
				full := names
				names = make([]string, 0, lot)
				return send(full)
			}
			return nil
		})
		if err == nil && remote {
			err = fetcher.Prefetch(ctx, names)
		}
		if err != nil {
			return err
		}
		for part := range slices.Chunk(names, lot) {
			if err := send(part); err != nil {
				return err
			}
		}
		return nil
	})
	for range workers() {
		group.Go(func() error {
			read, done := s.reader()
			defer done()
			w := worker{scanner: s, read: read}
			for names := range lots {
				for _, name := range names {
					if err := w.screen(name); err != nil {
						return err
					}
				}
			}
			w.hand()
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	s.followLinks()
	return nil
}

func workers() int { return max(2, runtime.GOMAXPROCS(0)) }

// look decides by name and type whether a file is read. A symbolic link inside
// the repository is not followed: its target is read at its own place.
func (s *scanner) look(name string, entry fs.DirEntry) bool {
	if path.Base(name) == "Chart.yaml" {
		s.mutex.Lock()
		s.index.charts[path.Dir(name)] = true
		s.mutex.Unlock()
	}
	if helmfileName(name) {
		s.mutex.Lock()
		s.index.helmfiles[name] = true
		s.mutex.Unlock()
	}
	if isStored(name) && entry.Type().IsRegular() {
		s.mutex.Lock()
		s.index.stored[path.Dir(name)] = append(s.index.stored[path.Dir(name)], name)
		s.mutex.Unlock()
	}
	if !isYAML(name) && !isKustomization(name) || !s.options.selected(name) {
		if formatOf(name) != "" && entry.Type().IsRegular() && s.options.selected(name) {
			s.mutex.Lock()
			s.index.formats = append(s.index.formats, name)
			s.mutex.Unlock()
		}
		return false
	}
	if entry.Type()&fs.ModeSymlink == 0 {
		return entry.Type().IsRegular()
	}
	s.mutex.Lock()
	s.links = append(s.links, name)
	s.mutex.Unlock()
	return false
}

// unnameable reports a file, or a folder with all that is in it, whose name no
// file system of Go can be asked for.
func (s *scanner) unnameable(name string, entry fs.DirEntry) error {
	if !entry.IsDir() && !isYAML(name) {
		return nil
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	name = strings.ToValidUTF8(name, "\ufffd")
	s.index.files = append(s.index.files, fleet.FileReason{File: name, Reason: fleet.Reason{
		Code: fleet.CodeUnsupportedForm, Message: "its name is not UTF-8; it was not read", Place: fleet.Place{File: name},
	}})
	if entry.IsDir() {
		return fs.SkipDir
	}
	return nil
}

// followLinks reports the links that lead nowhere. It comes last: by then most
// of what links lead to has been read.
func (s *scanner) followLinks() {
	for _, name := range s.links {
		if _, err := fs.Stat(s.files, name); err != nil {
			s.index.files = append(s.index.files, fleet.FileReason{File: name, Reason: fleet.Reason{
				Code: fleet.CodeUnsupportedForm, Message: "a symbolic link that leads nowhere inside the repository; it was not read",
				Place: fleet.Place{File: name},
			}})
		}
	}
}

// worker screens files one after the other.
type worker struct {
	*scanner
	read   readInto
	buffer []byte

	// Of the files that hold nothing: how many, the workloads in them, which take
	// variables from other objects, and which say where pods may send to.
	files, others int
	users         []string
	policies      []string
}

// screen reads one file and, if it matters, adds what it holds to the index.
func (w *worker) screen(name string) error {
	data, buffer, size, err := w.read(name, w.buffer, w.options.MaxFileSize)
	w.buffer = buffer
	switch {
	case err != nil:
		return err
	case size > w.options.MaxFileSize:
		return w.readLarge(name)
	}
	w.files++
	needle := needled(data) || w.encodes(data)
	count, other, policy := kinds(data)
	other = other || w.options.Every && bytes.Contains(data, []byte("containers"))
	if !needle && !other && !utf16(data) && !isKustomization(name) {
		if bytes.HasPrefix(data, []byte(lfsPointer)) {
			return w.pointer(name)
		}
		w.others += count
		if refers(data) {
			w.users = append(w.users, name)
		}
		if policy {
			w.policies = append(w.policies, name)
		}
		return nil
	}
	facts := w.parse(name, data)
	facts.seed = needle || slices.ContainsFunc(facts.policies, func(p Policy) bool { return len(p.Openings) > 0 })
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.index.add(facts)
	return nil
}

// lfsPointer is how a file begins that stands for one kept by Git LFS;
// https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md, "The Pointer".
const lfsPointer = "version https://git-lfs.github.com/spec/"

// pointer reports a manifest that is not here.
func (w *worker) pointer(name string) error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.index.files = append(w.index.files, fleet.FileReason{File: name, Reason: fleet.Reason{
		Code: fleet.CodeUnsupportedForm, Message: "a pointer of Git LFS: what it stands for is not here, and was not read", Place: fleet.Place{File: name},
	}})
	return nil
}

// hand adds what the worker counted to the scan's.
func (w *worker) hand() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.index.read += w.files
	w.index.others += w.others
	w.scanner.users = append(w.scanner.users, w.users...)
	w.scanner.policies = append(w.scanner.policies, w.policies...)
}

func (s *scanner) parse(name string, data []byte) facts {
	return parseFacts(name, data, yamledit.Limits{MaxSize: s.options.MaxFileSize})
}

// encodes reports a Secret that holds a flag.
func (s *scanner) encodes(data []byte) bool {
	return contains(data, 'S', "Secret") && containsAny(data, s.encoded)
}

func utf16(data []byte) bool {
	return bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff"))
}

func isKustomization(name string) bool {
	switch path.Base(name) {
	case "kustomization.yaml", "kustomization.yml", "Kustomization":
		return true
	}
	return false
}

// readUsers reads the files without needle that take variables from one of the
// ConfigMaps or Secrets that hold a flag.
func (s *scanner) readUsers(ctx context.Context) error {
	var names [][]byte
	for _, name := range s.index.sources() {
		names = append(names, []byte(name))
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(s.users)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers())
	for _, name := range s.users {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			data, _, _, err := load(s.files, name, nil, s.options.MaxFileSize)
			if err != nil || !containsAny(data, names) {
				return err
			}
			facts := s.parse(name, data)
			facts.seed = true
			s.mutex.Lock()
			defer s.mutex.Unlock()
			s.index.others -= countWorkloads(data)
			s.index.add(facts)
			return nil
		})
	}
	return group.Wait()
}

// load is readInto for any file system.
func load(files fs.FS, name string, buffer []byte, limit int64) (data, grown []byte, size int64, err error) {
	file, err := files.Open(name)
	if err != nil {
		return nil, buffer, 0, fmt.Errorf("opening %s: %w", name, err)
	}
	defer file.Close() //nolint:errcheck // read-only
	info, err := file.Stat()
	if err != nil {
		return nil, buffer, 0, fmt.Errorf("reading %s: %w", name, err)
	}
	size = info.Size()
	if size > limit {
		return nil, buffer, size, nil
	}
	if int64(cap(buffer)) < size {
		buffer = make([]byte, size+size/4)
	}
	data = buffer[:size]
	if _, err := io.ReadFull(file, data); err != nil {
		return nil, buffer, size, fmt.Errorf("reading %s: %w", name, err)
	}
	return data, buffer, size, nil
}

// readLarge looks for a marker in a file that is too large to parse, a window
// at a time.
func (s *scanner) readLarge(name string) error {
	file, err := s.files.Open(name)
	if err != nil {
		return fmt.Errorf("opening %s: %w", name, err)
	}
	defer file.Close() //nolint:errcheck // read-only
	const overlap = 32
	window := make([]byte, 256<<10)
	kept := 0
	for {
		n, err := io.ReadFull(file, window[kept:])
		part := window[:kept+n]
		if containsAny(part, markers) {
			s.mutex.Lock()
			defer s.mutex.Unlock()
			s.index.files = append(s.index.files, fleet.FileReason{File: name, Reason: fleet.Reason{
				Code: fleet.CodeTooLarge, Message: fmt.Sprintf("larger than the limit of %d bytes", s.options.MaxFileSize),
				Place: fleet.Place{File: name},
			}})
			return nil
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		}
		kept = copy(window, part[len(part)-overlap:])
	}
}
