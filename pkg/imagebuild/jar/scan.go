package jar

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
)

// Limits of one archive with everything in it: deeper or larger ones are
// somebody's trap, or at least nobody's application.
const (
	maxDepth    = 4 // ear, war, jar, and one to spare
	maxUnpacked = 4 << 30
	maxEntry    = 16 << 20 // of a class or a configuration file
	maxNamed    = 50       // classes that are named
)

// Report is what an archive, or a single file, says of SkyWalking's toolkit.
type Report struct {
	// Libraries are the toolkit's own jars by file name ("apm-toolkit-trace-8.9.0.jar"),
	// or, where its classes lie in another jar, without a version ("apm-toolkit-trace").
	Libraries []string `json:"libraries,omitempty"`
	// Uses are the classes and files that name parts of the toolkit, sorted.
	Uses []Use `json:"uses,omitempty"`
	// More counts uses beyond those that are listed.
	More int `json:"more,omitempty"`
	// Unread says what was not read, and why.
	Unread []string `json:"unread,omitempty"`
	// Manifest is the archive's own main section, without nested ones.
	Manifest map[string]string `json:"-"`
}

// Use is a class or a file that names parts of the toolkit.
type Use struct {
	In    string   `json:"in"`    // "BOOT-INF/classes/com/shop/Cart.class", "WEB-INF/lib/pay.jar!/com/shop/Pay.class"
	Names []string `json:"names"` // "trace.TraceContext", below org.apache.skywalking.apm.toolkit
}

// Empty reports whether there is nothing to tell.
func (r Report) Empty() bool {
	return len(r.Libraries)+len(r.Uses)+len(r.Unread) == 0
}

// IsArchive tells by a name whether a file is a Java archive.
func IsArchive(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".jar", ".war", ".ear", ".rar", ".sar", ".har":
		return true
	}
	return false
}

// Matters tells by a name whether a single file may use the toolkit: a class,
// or a file that configures logging or beans by class names.
func Matters(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".class", ".xml", ".properties", ".yml", ".yaml", ".groovy", ".json", ".factories", ".imports":
		return true
	}
	return strings.Contains(name, "META-INF/services/")
}

// Library reports a file name of the toolkit's own jars; the agent's plugins
// for it, "…-activation-…", are not.
func Library(name string) (string, bool) {
	base := path.Base(name)
	return base, strings.HasPrefix(base, "apm-toolkit-") && strings.HasSuffix(base, ".jar") && !strings.Contains(base, "-activation")
}

// Scan reads an archive. An archive that cannot be read is no error: the
// report says so. An error is the reader's own.
func Scan(r io.Reader, name string) (Report, error) {
	s := &scanner{libraries: map[string]bool{}, left: maxUnpacked}
	source := &faulty{r: r}
	if lib, ok := Library(name); ok {
		s.libraries[lib] = true
		s.inLibrary = true
	}
	err := s.archive(source, "", 1)
	if source.err != nil {
		return Report{}, source.err
	}
	if err != nil {
		s.report.Unread = append(s.report.Unread, err.Error())
	}
	return s.done(), nil
}

// ScanFile reads a single class or configuration file.
func ScanFile(r io.Reader, name string) (Report, error) {
	s := &scanner{libraries: map[string]bool{}, left: maxUnpacked}
	source := &faulty{r: r}
	err := s.file(source, name)
	if source.err != nil {
		return Report{}, source.err
	}
	return s.done(), err
}

// faulty keeps the errors of the stream that an archive comes in apart from
// the archive's own.
type faulty struct {
	r   io.Reader
	err error
}

func (f *faulty) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err //nolint:wrapcheck // io.EOF has to pass as it is
}

type scanner struct {
	report    Report
	libraries map[string]bool
	inLibrary bool // what is read is a library of the toolkit
	left      int64
	buf       bytes.Buffer
}

func (s *scanner) done() Report {
	s.report.Libraries = slices.Sorted(maps.Keys(s.libraries))
	slices.SortFunc(s.report.Uses, func(a, b Use) int { return strings.Compare(a.In, b.In) })
	return s.report
}

// archive reads an archive's entries; where is "lib/a.jar!/" in front of their
// names.
func (s *scanner) archive(r io.Reader, where string, depth int) error {
	entries := newStream(r, &s.left)
	for first := true; ; first = false {
		e, err := entries.next(first)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if e.opaque {
			if IsArchive(e.Name) || Matters(e.Name) {
				s.report.Unread = append(s.report.Unread, where+e.Name+" is encrypted or compressed in a way that Java has not")
			}
			continue
		}
		switch {
		case IsArchive(e.Name):
			err = s.nested(e, where+e.Name, depth)
		case depth == 1 && e.Name == "META-INF/MANIFEST.MF":
			s.report.Manifest, err = readManifest(e)
		case Matters(e.Name):
			err = s.file(e, where+e.Name)
		}
		if err != nil {
			return err
		}
	}
}

func (s *scanner) nested(r io.Reader, name string, depth int) error {
	lib, ok := Library(name)
	if ok {
		s.libraries[lib] = true
	}
	if depth == maxDepth {
		s.report.Unread = append(s.report.Unread, name+" lies too deep")
		return nil
	}
	outer := s.inLibrary
	s.inLibrary = outer || ok
	err := s.archive(r, name+"!/", depth+1)
	s.inLibrary = outer
	if errors.Is(err, errUnreadable) && !errors.Is(err, errTooMuch) {
		s.report.Unread = append(s.report.Unread, name+": "+err.Error())
		err = nil
	}
	return err
}

// file looks for names of the toolkit in a class or a configuration file.
func (s *scanner) file(r io.Reader, name string) error {
	if s.inLibrary {
		return nil // its classes name each other
	}
	class := strings.HasSuffix(name, ".class")
	if lib, own := owner(name); own && class {
		s.libraries[lib] = true
		return nil
	}
	s.buf.Reset()
	n, err := io.CopyN(&s.buf, r, maxEntry+1)
	if err != nil && !errors.Is(err, io.EOF) {
		return err //nolint:wrapcheck // entry's own
	}
	if n > maxEntry {
		s.report.Unread = append(s.report.Unread, fmt.Sprintf("%s is larger than %d MiB", name, maxEntry>>20))
		return nil
	}
	names := toolkitNames(s.buf.Bytes())
	switch {
	case len(names) == 0:
	case len(s.report.Uses) == maxNamed:
		s.report.More++
	default:
		s.report.Uses = append(s.report.Uses, Use{In: name, Names: names})
	}
	return nil
}

// root is where names of the toolkit begin. They may be relocated
// ("shaded/org/apache/…"), and version 5 lacked "apache".
type root struct{ pattern, prefix string }

//nolint:gochecknoglobals // lookup table
var roots = []root{{"skywalking/apm/toolkit/", ""}, {"skywalking/apm/meter/micrometer/", "meter/micrometer/"}}

// owner names the library that a class of the toolkit belongs to.
func owner(name string) (string, bool) {
	for _, r := range roots {
		if _, inside, ok := strings.Cut(name, r.pattern); ok {
			return Of(r.prefix + inside), true
		}
	}
	return "", false
}

// Of names the library that a name of Use.Names is in, without a version:
// "apm-toolkit-trace" for "trace.TraceContext".
func Of(name string) string {
	name = strings.ReplaceAll(name, "/", ".")
	first, _, _ := strings.Cut(name, ".")
	switch {
	case strings.HasPrefix(name, "meter.micrometer."):
		return "apm-toolkit-micrometer-registry"
	case strings.HasPrefix(name, "log.logback"):
		return "apm-toolkit-logback"
	case first == "log":
		return "apm-toolkit-log4j"
	}
	return "apm-toolkit-" + first
}

// toolkitNames finds names of the toolkit's classes in a class file, where they
// stand with slashes (JVMS, 4.2.1), or as text with dots.
func toolkitNames(content []byte) []string {
	found := map[string]bool{}
	for _, r := range roots {
		for _, separator := range []string{"/", "."} {
			pattern := []byte(strings.ReplaceAll(r.pattern, "/", separator))
			for rest := content; ; {
				i := bytes.Index(rest, pattern)
				if i < 0 {
					break
				}
				rest = rest[i+len(pattern):]
				end := bytes.IndexFunc(rest, func(r rune) bool { return !partOfName(r) })
				if end < 0 {
					end = len(rest)
				}
				name := strings.Trim(strings.ReplaceAll(string(rest[:min(end, 200)]), "/", "."), ".")
				if name != "" {
					found[strings.ReplaceAll(r.prefix, "/", ".")+name] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func partOfName(r rune) bool {
	return strings.ContainsRune("/._$", r) || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
}
