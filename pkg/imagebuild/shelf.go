package imagebuild

import (
	"archive/tar"
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/imagebuild/layer"
)

const (
	maxScript = 1 << 20
	// maxLook is how much of an image is read for its scripts in the fast
	// preflight.
	maxLook = 64 << 20
	// cheapLayer is read for a file too that a script names and that may not be
	// there: what COPY puts side by side lies in layers of its own.
	cheapLayer = 1 << 20
	// maxRounds is how often layers are read again for names that links lead to.
	maxRounds = 4
	// maxScripts limits what one image's command and its scripts name.
	maxScripts = 64
	// maxHops limits the links of one path.
	maxHops = 16
)

// text is a file as it was found.
type text struct {
	path     string
	content  []byte
	variable string // as in script
}

// shelf is what one layer has under the names that are looked for. Of several
// entries with one name the last counts.
type shelf struct {
	files  map[string][]byte   // small regular files
	links  map[string]string   // hard links -> what they are another name of
	others map[string]struct{} // what is no small file: programs, devices
}

// shelves are layers, top first, as far as they have been read.
type shelves struct {
	view    layer.View
	layers  []shelf
	names   map[string]bool // base names that were looked for
	missing map[string]bool // base names that links lead to and that were not
}

// sighting is what became of scripts that were looked for.
type sighting struct {
	found []text
	// complete is false where the limit ended the search, or a layer that
	// cannot be read.
	complete bool
	stopped  string // by what it ended; empty: complete
	// unread are files that a script found reads or runs, by their whole paths,
	// and that may lie in layers that were not read.
	unread []string
}

// readScripts reads the scripts that an image's command names, from the top
// layer down to where it is known of each what it is, and those that more says
// of what was found, as far as they lie in these layers or in small ones next
// to them.
func (b *Builder) readScripts(ctx context.Context, repo repository, layers []descriptor, scripts []script, more func(text) []script) (sees sighting, err error) {
	if len(scripts) == 0 {
		return sighting{complete: true}, nil
	}
	s := &shelves{names: map[string]bool{}, missing: map[string]bool{}}
	for _, script := range scripts {
		for _, p := range script.paths {
			s.names[path.Base(p)] = true
		}
	}
	left, tooMany := int64(maxLook), false
	for i := len(layers) - 1; i >= 0; i-- {
		why := unreadable(layers[i])
		if sees.complete && (len(sees.unread) == 0 || why != "" || layers[i].Size > cheapLayer) {
			break
		}
		if why != "" {
			sees.complete, sees.stopped = false, fmt.Sprintf("layer %s cannot be read (%s)", layers[i].Digest, why)
			break
		}
		if b.options.Preflight != PreflightFull && layers[i].Size > left {
			sees.complete, sees.stopped = false, fmt.Sprintf("more than %d MiB of layers are read with image.preflight: full only", maxLook>>20)
			break
		}
		left -= layers[i].Size
		if err := s.read(ctx, repo, layers[i]); err != nil {
			return sighting{}, err
		}
		s.view.Bottom = i == 0
		sees = s.pick(scripts)
		for range maxRounds {
			scripts, tooMany = follow(scripts, sees.found, more)
			sees = s.pick(scripts)
			if len(s.missing) == 0 {
				break
			}
			if err := s.again(ctx, repo, layers[i:]); err != nil {
				return sighting{}, err
			}
			sees = s.pick(scripts)
		}
	}
	if tooMany {
		sees.complete, sees.stopped = false, fmt.Sprintf("they name more than %d files", maxScripts)
	}
	if !sees.complete && sees.stopped == "" {
		sees.stopped = fmt.Sprintf("links lead on to other links more than %d times", maxRounds)
	}
	return sees, nil
}

// follow adds the scripts that those found name, up to a number.
func follow(scripts []script, found []text, more func(text) []script) (all []script, tooMany bool) {
	if more == nil {
		return scripts, false
	}
	known := map[string]bool{}
	for _, s := range scripts {
		known[strings.Join(s.paths, ":")] = true
	}
	scripts = slices.Clone(scripts)
	for _, t := range found {
		for _, s := range more(t) {
			key := strings.Join(s.paths, ":")
			switch {
			case known[key]:
			case len(scripts) >= maxScripts:
				tooMany = true
			default:
				known[key] = true
				scripts = append(scripts, s)
			}
		}
	}
	return scripts, tooMany
}

// read puts the next layer under those that were read.
func (s *shelves) read(ctx context.Context, repo repository, d descriptor) error {
	listing, taken := layer.NewListing(), newShelf()
	if err := taken.fill(ctx, repo, d, listing, s.names); err != nil {
		return err
	}
	s.view.Listings, s.layers = append(s.view.Listings, listing), append(s.layers, taken)
	return nil
}

// again reads the layers, base first, once more for what links lead to.
func (s *shelves) again(ctx context.Context, repo repository, layers []descriptor) error {
	for i, d := range slices.Backward(layers) {
		if err := s.layers[len(layers)-1-i].fill(ctx, repo, d, layer.NewListing(), s.missing); err != nil {
			return err
		}
	}
	maps.Copy(s.names, s.missing)
	clear(s.missing)
	return nil
}

func newShelf() shelf {
	return shelf{files: map[string][]byte{}, links: map[string]string{}, others: map[string]struct{}{}}
}

// fill reads one layer: its directories, and what has one of the names.
func (s shelf) fill(ctx context.Context, repo repository, d descriptor, listing *layer.Listing, names map[string]bool) error {
	blob := repo.Ranges(ctx, d.wire())
	defer blob.Close() //nolint:errcheck // reading only
	plain, err := layer.Decompress(blob)
	if err != nil {
		return err
	}
	defer plain.Close() //nolint:errcheck // reading only
	for e, err := range layer.Entries(plain) {
		if err == nil {
			listing.Add(e.Name, e.Header)
			if names[path.Base(e.Name)] {
				err = s.put(e)
			}
		}
		if err != nil {
			return fmt.Errorf("reading layer %s: %w", d.Digest, err)
		}
	}
	listing.Complete = true
	return nil
}

// put takes an entry, and what was there under its name away.
func (s shelf) put(e layer.Entry) (err error) {
	name, h := e.Name, e.Header
	delete(s.files, name)
	delete(s.links, name)
	delete(s.others, name)
	switch {
	case h.Typeflag == tar.TypeDir || h.Typeflag == tar.TypeSymlink || h.Typeflag == tar.TypeXGlobalHeader: // the listing has them
	case h.Typeflag == tar.TypeLink:
		if target, ok := layer.Clean(h.Linkname); ok {
			s.links[name] = target
		}
	case h.Typeflag == tar.TypeReg && h.Size <= maxScript:
		s.files[name], err = readAll(e.Content, maxScript)
	default:
		s.others[name] = struct{}{}
	}
	return err
}

// sight is what is known of a file.
type sight int

const (
	unseen  sight = iota // a layer that was not read may have it
	nothing              // there is none that could be a script
	seen
)

// pick finds each script where the container would. It is complete where no more
// layers are needed for that.
func (s *shelves) pick(scripts []script) sighting {
	found := sighting{complete: true}
	for _, script := range scripts {
		sees := nothing
		for _, p := range script.paths {
			var content []byte
			if content, sees = s.look(p); sees == seen {
				found.found = append(found.found, text{path: p, content: content, variable: script.variable})
			}
			if sees != nothing {
				break
			}
		}
		switch {
		case sees != unseen:
		case !script.optional:
			found.complete = false
		case script.named:
			found.unread = append(found.unread, "/"+script.paths[0])
		}
	}
	return found
}

// look follows links on the way and at the end. A symbolic link is followed in
// the image as it is, a hard link in the layer that made it and those below.
func (s *shelves) look(p string) ([]byte, sight) {
	from := 0
	for range maxHops {
		view := layer.View{Listings: s.view.Listings[from:], Bottom: s.view.Bottom}
		parent, known, err := view.Resolve(path.Dir(p))
		switch {
		case err != nil || known && !parent.Exists:
			return nil, nothing
		case !known:
			return nil, unseen
		}
		place := path.Join(parent.Path, path.Base(p))
		if !s.names[path.Base(place)] {
			s.missing[path.Base(place)] = true
			return nil, unseen
		}
		content, sees, hard, soft := s.at(place, &from)
		switch {
		case hard != "":
			p = hard
		case strings.HasPrefix(soft, "/"):
			p, from = strings.TrimPrefix(path.Clean(soft), "/"), 0
		case soft != "":
			p, from = strings.TrimPrefix(path.Join("/", path.Dir(place), soft), "/"), 0
		default:
			return content, sees
		}
	}
	return nil, nothing
}

// at looks at one place, from the given layer down; a hard link leaves the
// layer that it is in.
func (s *shelves) at(place string, from *int) (content []byte, sees sight, hard, soft string) {
	for i := *from; i < len(s.layers); i++ {
		listing, taken := s.view.Listings[i], s.layers[i]
		if content, ok := taken.files[place]; ok {
			return content, seen, "", ""
		}
		if target, ok := taken.links[place]; ok {
			*from = i
			return nil, unseen, target, ""
		}
		if n, ok := listing.Nodes[place]; ok && n.Type == tar.TypeSymlink {
			return nil, unseen, "", n.Link
		}
		_, other := taken.others[place]
		_, directory := listing.Nodes[place]
		_, implied := listing.Implied[place]
		if other || directory || implied || listing.Hides(place) {
			return nil, nothing, "", ""
		}
	}
	if s.view.Bottom {
		return nil, nothing, "", ""
	}
	return nil, unseen, "", ""
}
