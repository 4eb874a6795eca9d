package imagebuild

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild/layer"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

const (
	maxScript = 1 << 20
	// maxLook is how much of an image is read for its scripts in the fast
	// preflight.
	maxLook = 64 << 20
)

// script is a file that an image's command may run: the first path that
// exists counts, as in PATH.
type script struct {
	paths    []string
	optional bool // read where it is met, not looked for
}

// scriptsOf finds what an entrypoint and a command name: paths, and names that
// end in .sh. Tomcat's scripts read a setenv.sh beside them.
func scriptsOf(doc configDoc) []script {
	var search []string
	for _, entry := range doc.Config.Env {
		if list, ok := strings.CutPrefix(entry, "PATH="); ok {
			search = strings.Split(list, ":")
		}
	}
	workdir := path.Join("/", doc.Config.WorkingDir)
	var scripts []script
	for _, arg := range append(doc.Config.Entrypoint[:len(doc.Config.Entrypoint):len(doc.Config.Entrypoint)], doc.Config.Cmd...) {
		for word := range strings.FieldsFuncSeq(arg, func(r rune) bool { return strings.ContainsRune(" \t\n;&|\"'()", r) }) {
			s, ok := scriptOf(word, workdir, search)
			if !ok {
				continue
			}
			scripts = append(scripts, s)
			switch path.Base(word) {
			case "catalina.sh", "startup.sh":
				beside := script{optional: true}
				for _, p := range s.paths {
					beside.paths = append(beside.paths, path.Join(path.Dir(p), "setenv.sh"))
				}
				scripts = append(scripts, beside)
			}
		}
	}
	return scripts
}

func scriptOf(word, workdir string, search []string) (script, bool) {
	base := path.Base(word)
	switch base {
	case "sh", "bash", "dash", "ash", "env", "exec", "java", "tini", "dumb-init", "gosu", "su-exec", "nohup", ".", "/":
		return script{}, false
	}
	var s script
	switch {
	case strings.HasPrefix(word, "-") || strings.ContainsAny(word, "$*?=:") || strings.HasSuffix(word, ".jar") || strings.HasSuffix(word, ".war"):
		return script{}, false
	case strings.HasPrefix(word, "/"):
		s.paths = []string{word}
	case strings.Contains(word, "/"):
		s.paths = []string{path.Join(workdir, word)}
	case strings.HasSuffix(word, ".sh"):
		for _, dir := range append(search[:len(search):len(search)], workdir) {
			s.paths = append(s.paths, path.Join("/", dir, word))
		}
	default:
		return script{}, false
	}
	for i, p := range s.paths {
		s.paths[i] = strings.TrimPrefix(path.Clean(p), "/")
	}
	return s, true
}

// text is a script as it was found.
type text struct {
	path    string
	content []byte
}

// readScripts reads the scripts that an image's command names, from the top
// layer down to where the last one is found. complete is false where the limit
// ended that.
func (b *Builder) readScripts(ctx context.Context, repo repository, layers []descriptor, scripts []script) (found []text, complete bool, err error) {
	names := map[string]bool{}
	for _, s := range scripts {
		for _, p := range s.paths {
			names[path.Base(p)] = true
		}
	}
	view := &layer.View{}
	var files []map[string][]byte // by layer, top first
	left := int64(maxLook)
	for i := len(layers) - 1; i >= 0; i-- {
		if b.options.Preflight != PreflightFull && layers[i].Size > left {
			return pick(view, files, scripts), false, nil
		}
		if unreadable(layers[i]) != "" {
			return found, false, nil
		}
		left -= layers[i].Size
		listing, taken, err := collect(ctx, repo, layers[i], names)
		if err != nil {
			return nil, false, err
		}
		view.Listings, files = append(view.Listings, listing), append(files, taken)
		view.Bottom = i == 0
		found = pick(view, files, scripts)
		if len(found) >= required(scripts) && wanted(found, scripts) {
			return found, true, nil
		}
	}
	return found, true, nil
}

func required(scripts []script) int {
	n := 0
	for _, s := range scripts {
		if !s.optional {
			n++
		}
	}
	return n
}

// wanted reports whether every script that is not optional was found.
func wanted(found []text, scripts []script) bool {
	have := map[string]bool{}
	for _, f := range found {
		have[path.Base(f.path)] = true
	}
	for _, s := range scripts {
		if !s.optional && len(s.paths) > 0 && !have[path.Base(s.paths[0])] {
			return false
		}
	}
	return true
}

// collect reads one layer's directories and its small files with one of the
// names.
func collect(ctx context.Context, repo repository, d descriptor, names map[string]bool) (*layer.Listing, map[string][]byte, error) {
	blob := repo.Ranges(ctx, d.wire())
	defer blob.Close() //nolint:errcheck // reading only
	plain, err := layer.Decompress(blob)
	if err != nil {
		return nil, nil, err
	}
	defer plain.Close() //nolint:errcheck // reading only
	listing, files := layer.NewListing(), map[string][]byte{}
	for t := tar.NewReader(plain); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			listing.Complete = true
			return listing, files, nil
		}
		if err != nil {
			return nil, nil, fmt.Errorf("reading layer %s: %w", d.Digest, err)
		}
		name, ok := layer.Clean(h.Name)
		if !ok {
			continue
		}
		listing.Add(name, h)
		if h.Typeflag == tar.TypeReg && h.Size <= maxScript && names[path.Base(name)] {
			if files[name], err = readAll(t, maxScript); err != nil {
				return nil, nil, fmt.Errorf("reading layer %s: %w", d.Digest, err)
			}
		}
	}
}

// pick finds each script where the container would.
func pick(view *layer.View, files []map[string][]byte, scripts []script) []text {
	var found []text
	for _, s := range scripts {
		for _, p := range s.paths {
			if content, ok := lookFile(view, files, p); ok {
				found = append(found, text{path: p, content: content})
				break
			}
		}
	}
	return found
}

// lookFile follows links on the way and at the end.
func lookFile(view *layer.View, files []map[string][]byte, p string) ([]byte, bool) {
	for range 8 {
		parent, known, err := view.Resolve(path.Dir(p))
		if err != nil || !known || !parent.Exists {
			return nil, false
		}
		place := path.Join(parent.Path, path.Base(p))
		link := ""
		for i, listing := range view.Listings {
			if content, ok := files[i][place]; ok {
				return content, true
			}
			if n, ok := listing.Nodes[place]; ok {
				link = n.Link
				break
			}
			if listing.Hides(place) {
				break
			}
		}
		switch {
		case link == "":
			return nil, false
		case strings.HasPrefix(link, "/"):
			p = strings.TrimPrefix(path.Clean(link), "/")
		default:
			p = strings.TrimPrefix(path.Join("/", path.Dir(place), link), "/")
		}
	}
	return nil, false
}

// scriptLoads finds agent flags in a script's lines.
func scriptLoads(s text) []fleet.ImageLoad {
	if bytes.IndexByte(s.content[:min(len(s.content), 512)], 0) >= 0 {
		return nil // a program
	}
	var found []fleet.ImageLoad
	var beside []string
	lines := bufio.NewScanner(bytes.NewReader(s.content))
	lines.Buffer(nil, maxScript)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "#") {
			continue
		}
		where := fmt.Sprintf("/%s:%d", strings.TrimPrefix(s.path, "/"), n)
		if flags := loads(where, line, javaagent.DialectShell); len(flags) > 0 {
			found = append(found, flags...)
		} else if namesSkyWalking(line) {
			beside = append(beside, where)
		}
	}
	for i := range found {
		found[i].Beside = beside
	}
	return found
}

// namesSkyWalking reports a line that may set an option of the agent.
func namesSkyWalking(line string) bool {
	return strings.Contains(strings.ToLower(line), "skywalking") || strings.Contains(line, "SW_")
}
