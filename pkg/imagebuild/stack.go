package imagebuild

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild/layer"
)

// stack is one platform's base image: its layers, base first, and what its
// configuration says.
type stack struct {
	ref    string
	repo   repository
	layers []descriptor
	config configDoc
	remove []string // paths, those of the image of ours that it was made of too
}

// spec decides what the image's layer holds.
func (b *Builder) spec(ctx context.Context, j *job, s *stack) (layer.Spec, string, error) {
	files, version, err := b.payload.files(ctx)
	if err != nil {
		return layer.Spec{}, "", err
	}
	if version == "" {
		version = j.payload.Version
	} else if wanted := b.options.Version; wanted != "" && strings.TrimPrefix(wanted, "v") != version {
		j.warn(fleet.CodeVersion, "the agent's jar says that it is version %s; the configuration says %s", version, wanted)
	}
	if err := b.refuseUsed(s); err != nil {
		return layer.Spec{}, "", err
	}
	directory := strings.TrimPrefix(path.Clean(b.options.Directory), "/")
	spec := layer.Spec{Own: directory, Files: files}
	needed := []string{path.Dir(directory)}
	script := b.options.StartScript
	if script != nil {
		file := layer.File{Name: strings.TrimPrefix(path.Clean(script.Path), "/"), Mode: 0o755, Content: script.Content}
		if inside, ok := strings.CutPrefix(file.Name, directory+"/"); ok {
			file.Name = inside
			spec.Files = append(slices.Clone(files), file)
		} else {
			spec.Extra = []layer.File{file}
			needed = append(needed, path.Dir(file.Name))
		}
	}
	var wanted []string
	for _, dir := range s.remove {
		wanted = append(wanted, path.Dir(strings.TrimPrefix(dir, "/")))
	}
	view, where, err := b.parents(ctx, s, needed, wanted)
	if err != nil {
		return layer.Spec{}, "", err
	}
	place := func(name string) string { return path.Join(where[path.Dir(name)].Path, path.Base(name)) }
	dirs := map[string]layer.Node{}
	spec.Own = place(directory)
	if err := s.enter(dirs, where[path.Dir(directory)], b.options.Directory); err != nil {
		return layer.Spec{}, "", err
	}
	for i, file := range spec.Extra {
		if err := s.enter(dirs, where[path.Dir(file.Name)], script.Path); err != nil {
			return layer.Spec{}, "", err
		}
		spec.Extra[i].Name = place(file.Name)
	}
	if err := b.refuseHidden(s, view, spec); err != nil {
		return layer.Spec{}, "", err
	}
	if err := b.refuseSeen(j, s, view, spec); err != nil {
		return layer.Spec{}, "", err
	}
	removals, err := b.removals(j, s, spec, where)
	if err != nil {
		return layer.Spec{}, "", err
	}
	for _, r := range removals {
		b.warnRemoval(j, s, view, r)
		for _, d := range r.parent.Dirs {
			dirs[d.Path] = d
		}
		spec.Whiteouts = append(spec.Whiteouts, r.target)
	}
	for _, p := range fleet.SortedKeys(dirs) {
		spec.Dirs = append(spec.Dirs, dirs[p])
	}
	return spec, version, nil
}

// enter adds the directories on the way to something new, made where the base
// lacks them, and refuses a way that the image's user cannot go.
func (s *stack) enter(dirs map[string]layer.Node, parent layer.Resolved, what string) error {
	for _, d := range parent.Dirs {
		if !s.mayEnter(d) {
			return refuse(fleet.CodeImageRefused, "image %s runs as user %q, who may not enter /%s (mode %04o, owner %d:%d), so %s would be out of reach",
				s.ref, s.config.Config.User, d.Path, d.Mode, d.UID, d.GID, what)
		}
		dirs[d.Path] = d
	}
	for dir := parent.Path; dir != "" && dir != "."; dir = path.Dir(dir) {
		if _, ok := dirs[dir]; !ok {
			dirs[dir] = layer.Node{Path: dir, Mode: 0o755}
		}
	}
	return nil
}

// mayEnter reports whether the image's user may search the directory, as far
// as numbers tell: a named user is taken for the owner of any directory that
// is not root's.
func (s *stack) mayEnter(d layer.Node) bool {
	user, group, _ := strings.Cut(s.config.Config.User, ":")
	uid, err := strconv.Atoi(user)
	switch {
	case user == "" || user == "root" || err == nil && uid == 0:
		return true
	case d.Mode&0o001 != 0:
		return true
	case err != nil:
		return d.UID != 0 && d.Mode&0o100 != 0 || d.GID != 0 && d.Mode&0o010 != 0
	case d.UID == uid:
		return d.Mode&0o100 != 0
	}
	if gid, err := strconv.Atoi(group); err == nil {
		return d.GID == gid && d.Mode&0o010 != 0
	}
	// The user's groups are in the image's /etc/group; who is not in its
	// /etc/passwd has root's, as OpenShift's have.
	return d.Mode&0o010 != 0
}

// parents finds where directories really lie and how they look, reading
// layers from the top and no further than needed. Those that are needed may be
// made, but not in a file's place; of those that are only wanted, a file's is
// as good as none.
func (b *Builder) parents(ctx context.Context, s *stack, needed, wanted []string) (*layer.View, map[string]layer.Resolved, error) {
	view := &layer.View{}
	where := map[string]layer.Resolved{}
	var failed error
	enough := func() bool {
		for _, dir := range slices.Concat(needed, wanted) {
			if _, ok := where[dir]; ok {
				continue
			}
			r, known, err := view.Resolve(dir)
			if errors.Is(err, layer.ErrNotDirectory) && !slices.Contains(needed, dir) {
				where[dir] = layer.Resolved{}
				continue
			}
			if err != nil {
				failed = refuse(fleet.CodeImageRefused, "image %s: %v", s.ref, err)
				return true
			}
			if !known {
				return false
			}
			where[dir] = r
		}
		return true
	}
	for i := len(s.layers) - 1; i >= 0; i-- {
		if enough() {
			return view, where, failed
		}
		if why := unreadable(s.layers[i]); why != "" {
			return nil, nil, refuse(fleet.CodeImageRefused, "layer %s of image %s cannot be read (%s), and only it can tell how the directories look that the agent goes to",
				s.layers[i].Digest, s.ref, why)
		}
		if err := b.listings.look(ctx, s, i, view, enough); err != nil {
			return nil, nil, fmt.Errorf("reading layer %s of %s: %w", s.layers[i].Digest, s.ref, err)
		}
	}
	view.Bottom = true
	enough()
	return view, where, failed
}

// layers makes layers, each once, and keeps the compressed bytes of the last
// ones: a layer is sent once to a registry, and may be asked for again when
// that breaks.
type layers struct {
	mu      sync.Mutex
	results map[string]layer.Result
	held    []heldLayer
}

type heldLayer struct {
	key     string
	content layer.Content
}

const maxHeld = 2

func (l *layers) write(spec layer.Spec) (layer.Result, error) {
	key := spec.Key()
	l.mu.Lock()
	defer l.mu.Unlock()
	if r, ok := l.results[key]; ok {
		return r, nil
	}
	r, _, err := l.make(key, spec)
	return r, err
}

// open returns the compressed bytes.
func (l *layers) open(spec layer.Spec) (io.ReadCloser, error) {
	key := spec.Key()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.held {
		if h.key == key {
			return h.content.Open(), nil
		}
	}
	_, content, err := l.make(key, spec)
	return content.Open(), err
}

// make writes a layer; l.mu is held: memory matters more than a second core.
func (l *layers) make(key string, spec layer.Spec) (layer.Result, layer.Content, error) {
	r, content, err := spec.Make()
	if err != nil {
		return layer.Result{}, nil, err
	}
	if l.results == nil {
		l.results = map[string]layer.Result{}
	}
	if before, ok := l.results[key]; ok && before != r {
		return layer.Result{}, nil, errNotSame
	}
	l.results[key] = r
	if len(l.held) == maxHeld {
		l.held = slices.Delete(l.held, 0, 1)
	}
	l.held = append(l.held, heldLayer{key: key, content: content})
	return r, content, nil
}

var errNotSame = errors.New("writing a layer: the same input made other bytes")
