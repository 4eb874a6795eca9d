package imagebuild

import (
	"archive/tar"
	"cmp"
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild/layer"
	"github.com/otelshift/otelshift/pkg/imagebuild/wire"
)

// readImage takes a file, or what a directory holds, out of an image. Layers
// are streamed from the top until nothing below can matter.
func readImage(ctx context.Context, open opener, ref, want string) ([]layer.File, error) {
	parsed, err := fleet.ParseImageRef(ref)
	if err != nil {
		return nil, err
	}
	repo, err := open(parsed.Repository, wire.Pull)
	if err != nil {
		return nil, err
	}
	m, err := repo.Manifest(ctx, manifestName(parsed))
	if err != nil {
		return nil, missing(ref, err)
	}
	if m, err = anyImage(ctx, repo, m); err != nil {
		return nil, missing(ref, err)
	}
	manifest, err := parseManifest(m.Body)
	if err != nil {
		return nil, err
	}
	layers := manifest.Layers
	for range 8 { // links
		files, link, err := takeFrom(ctx, repo, layers, want)
		if err != nil || link == nil {
			return files, err
		}
		want = strings.TrimPrefix(path.Clean(link.target), "/")
		if layers = manifest.Layers; link.layers > 0 {
			layers = layers[:link.layers]
		}
	}
	return nil, fmt.Errorf("/%s: too many links", want)
}

// absolute is where a link at a place leads.
func absolute(link, at string) string {
	if strings.HasPrefix(link, "/") {
		return link
	}
	return path.Join("/", path.Dir(at), link)
}

// extract is what one layer has at a path and below it. Of entries with one
// name the last counts.
type extract struct {
	want    string
	listing *layer.Listing
	entries map[string]extracted // by the name below want; "": want itself
}

// extracted is one entry that is no directory.
type extracted struct {
	file layer.File
	kind byte
	link string // of a hard link at want itself
}

// elsewhere is what has to be read in a path's stead: a symbolic link is
// followed in the image as it is, a hard link in the layer that made it and
// those below.
type elsewhere struct {
	target string
	layers int // base first; 0: all
}

// takeFrom reads layers, top first.
func takeFrom(ctx context.Context, repo repository, layers []descriptor, want string) (files []layer.File, link *elsewhere, err error) {
	meter := layer.NewMeter(layer.DefaultLimits()) // of the layers together
	var above []*extract
	for i, d := range slices.Backward(layers) {
		if why := unreadable(d); why != "" {
			return nil, nil, fmt.Errorf("layer %s cannot be read: %s", d.Digest, why)
		}
		x := &extract{want: want, listing: layer.NewListing(), entries: map[string]extracted{}}
		if err := x.read(ctx, repo, d, meter); err != nil {
			return nil, nil, fmt.Errorf("layer %s: %w", d.Digest, err)
		}
		covered := func(place string) bool {
			return slices.ContainsFunc(above, func(a *extract) bool { return a.covers(place) })
		}
		at, target, linked := x.leads()
		if linked {
			if covered(at) { // a directory took its place
				break
			}
			return nil, &elsewhere{target: target}, nil
		}
		for inside, e := range x.entries {
			place := path.Join(want, inside)
			if covered(place) {
				continue
			}
			switch {
			case inside == "" && e.kind == tar.TypeLink:
				return nil, &elsewhere{target: "/" + e.link, layers: i + 1}, nil
			case e.kind != tar.TypeReg:
				return nil, nil, fmt.Errorf("/%s is a %s: %w", place, layer.Kind(e.kind), layer.ErrHostile)
			case inside == "":
				e.file.Name, e.file.Mode = path.Base(want), 0o644
				return []layer.File{e.file}, nil, nil
			}
			files = append(files, e.file)
		}
		if _, opaque := x.listing.Opaque[want]; opaque || x.listing.Hides(want) {
			break
		}
		above = append(above, x)
	}
	if len(files) == 0 {
		return nil, nil, fmt.Errorf("/%s is not in the image: %w", want, fleet.ErrNotFound)
	}
	slices.SortFunc(files, func(a, b layer.File) int { return cmp.Compare(a.Name, b.Name) })
	return files, nil, nil
}

// covers reports that nothing of the layers below is seen at a place: it was
// removed, or something else is there, or a file in place of a directory on the
// way. A directory covers no directory.
func (x *extract) covers(place string) bool {
	if _, node := x.listing.Nodes[place]; node || x.listing.Hides(place) {
		return true
	}
	if _, implied := x.listing.Implied[place]; implied {
		return true
	}
	inside, _ := x.within(place)
	for ; ; inside = path.Dir(inside) {
		if inside == "." {
			inside = ""
		}
		if _, ok := x.entries[inside]; ok || inside == "" {
			return ok
		}
	}
}

// within is a place's name below want; want's own is empty.
func (x *extract) within(place string) (inside string, ok bool) {
	if x.want == "" || place == x.want {
		return strings.TrimPrefix(place, x.want), true
	}
	return strings.CutPrefix(place, x.want+"/")
}

// leads finds the symbolic link at want or on the way to it: where it is and
// where want is then.
func (x *extract) leads() (at, target string, ok bool) {
	for i, c := range x.want + "/" {
		if c != '/' {
			continue
		}
		at = x.want[:i]
		if n, ok := x.listing.Nodes[at]; ok && n.Type == tar.TypeSymlink {
			return at, path.Join(absolute(n.Link, at), x.want[i:]), true
		}
	}
	return "", "", false
}

// read reads one layer to its end, so that its digest is checked.
func (x *extract) read(ctx context.Context, repo repository, d descriptor, meter *layer.Meter) error {
	blob := repo.Whole(ctx, d.wire())
	defer blob.Close() //nolint:errcheck // reading only
	plain, err := layer.Decompress(meter.Packed(blob))
	if err != nil {
		return err
	}
	defer plain.Close() //nolint:errcheck // reading only
	for e, err := range layer.Entries(plain) {
		if err != nil {
			return err
		}
		x.listing.Add(e.Name, e.Header)
		inside, ok := x.within(e.Name)
		if !ok || e.Header.Typeflag == tar.TypeXGlobalHeader || strings.HasPrefix(path.Base(e.Name), ".wh.") {
			continue
		}
		if strings.Contains("/"+inside, "/.wh.") {
			return fmt.Errorf("/%s is the name of a whiteout: %w", e.Name, layer.ErrHostile)
		}
		if err := x.entry(inside, e.Header, e.Content, meter); err != nil {
			return fmt.Errorf("/%s: %w", e.Name, err)
		}
	}
	for _, rest := range []io.Reader{plain, blob} { // the digest is checked at the end
		if _, err := io.Copy(io.Discard, rest); err != nil {
			return err //nolint:wrapcheck // wrapped by takeFrom
		}
	}
	return nil
}

// entry takes one entry.
func (x *extract) entry(inside string, h *tar.Header, r io.Reader, meter *layer.Meter) error {
	e := extracted{kind: h.Typeflag, file: layer.File{Name: inside, Mode: layer.ModeOf(h.Mode)}}
	switch h.Typeflag {
	case tar.TypeDir:
		delete(x.entries, inside)
		return nil
	case tar.TypeReg:
		content, err := meter.Read(r, h.Size)
		if err != nil {
			return err
		}
		e.file.Content = content
	case tar.TypeLink:
		target, ok := layer.Clean(h.Linkname)
		if !ok {
			return fmt.Errorf("a hard link out of the image: %w", layer.ErrHostile)
		}
		e.link = target
		if inside == "" {
			break
		}
		other, ok := x.within(target)
		was, there := x.entries[other]
		if !ok || !there || was.kind != tar.TypeReg {
			return fmt.Errorf("a hard link to /%s, which lies elsewhere: %w", target, layer.ErrHostile)
		}
		e.kind, e.file.Mode, e.file.Content = tar.TypeReg, was.file.Mode, was.file.Content
	}
	x.entries[inside] = e
	return nil
}
