package imagebuild

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild/layer"
	"github.com/otelshift/otelshift/pkg/imagebuild/wire"
)

// Source is where an agent or an extension comes from; exactly one of File,
// Archive, URL and Image is set.
type Source struct {
	// FS holds File or Archive; os.Root.FS makes one that cannot be left.
	FS      fs.FS
	File    string // a jar or a directory
	Archive string // a tar, tar.gz or tar.zst
	// StripPrefix is a directory of the archive; what lies beside it is ignored.
	StripPrefix string
	URL         string // of a jar, or of an archive by its name
	SHA256      string // of what URL gives, in hex
	Image       string // OCI image reference
	Path        string // of a jar or directory in Image
}

func (s Source) check() error {
	set := 0
	for _, value := range []string{s.File, s.Archive, s.URL, s.Image} {
		if value != "" {
			set++
		}
	}
	switch {
	case set != 1:
		return fmt.Errorf("reading agent source: %w", errOneSource)
	case (s.File != "" || s.Archive != "") && s.FS == nil:
		return fmt.Errorf("reading agent source %s: no file system given", s)
	case s.Image != "" && (!strings.HasPrefix(s.Path, "/") || strings.Contains(s.Path, "..")):
		return fmt.Errorf("reading agent source %s: path %q: want an absolute path in the image", s, s.Path)
	case s.URL != "":
		if digits, err := hex.DecodeString(s.SHA256); err != nil || len(digits) != sha256.Size {
			return fmt.Errorf("reading agent source %s: sha256 %q: want 64 hex digits", s, s.SHA256)
		}
	}
	return nil
}

var errOneSource = errors.New("want exactly one of file, archive, url and image")

// String names the source.
func (s Source) String() string {
	return s.File + s.Archive + s.URL + s.Image
}

// isArchive tells by the name what a URL gives.
func (s Source) isArchive() bool {
	name, _, _ := strings.Cut(s.URL, "?")
	for _, suffix := range []string{".tar", ".tar.gz", ".tgz", ".tar.zst"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return s.Archive != ""
}

// read returns the source's files, named relative to it; a single jar has its
// base name.
func (s Source) read(ctx context.Context, open opener, transport http.RoundTripper) ([]layer.File, error) {
	files, err := s.files(ctx, open, transport)
	if err != nil {
		return nil, fmt.Errorf("reading agent source %s: %w", s, err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("reading agent source %s: it holds no file", s)
	}
	return files, nil
}

func (s Source) files(ctx context.Context, open opener, transport http.RoundTripper) ([]layer.File, error) {
	switch {
	case s.File != "":
		return readTree(s.FS, path.Clean(s.File))
	case s.Archive != "":
		f, err := s.FS.Open(path.Clean(s.Archive))
		if err != nil {
			return nil, err
		}
		defer f.Close() //nolint:errcheck // reading only
		return layer.ReadArchive(f, s.StripPrefix, layer.DefaultLimits())
	case s.URL != "":
		content, err := s.download(ctx, transport)
		if err != nil {
			return nil, err
		}
		if s.isArchive() {
			return layer.ReadArchive(bytes.NewReader(content), s.StripPrefix, layer.DefaultLimits())
		}
		name, _, _ := strings.Cut(path.Base(s.URL), "?")
		return []layer.File{{Name: name, Mode: 0o644, Content: content}}, nil
	}
	return readImage(ctx, open, s.Image, strings.TrimPrefix(path.Clean(s.Path), "/"))
}

// readTree reads a file, or a directory with everything in it. Symbolic links
// and other special files are refused: what they name is not what was given.
func readTree(fsys fs.FS, root string) ([]layer.File, error) {
	limits := layer.DefaultLimits()
	info, err := fs.Stat(fsys, root) // the source itself may be a link
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		content, err := readFile(fsys, root, limits.Bytes)
		return []layer.File{{Name: path.Base(root), Mode: 0o644, Content: content}}, err
	}
	var files []layer.File
	total := int64(0)
	err = fs.WalkDir(fsys, root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name := strings.TrimPrefix(p, root+"/")
		if root == "." {
			name = p
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("%s is no regular file: %w", p, layer.ErrHostile)
		}
		for part := range strings.SplitSeq(name, "/") {
			if strings.HasPrefix(part, ".wh.") {
				return fmt.Errorf("%s is the name of a whiteout: %w", p, layer.ErrHostile)
			}
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content, err := readFile(fsys, p, limits.Bytes-total)
		if err != nil {
			return err
		}
		total += int64(len(content))
		if len(files) >= limits.Files {
			return fmt.Errorf("more than %d files: %w", limits.Files, layer.ErrHostile)
		}
		mode := int64(0o644)
		if info.Mode()&0o100 != 0 {
			mode = 0o755
		}
		files = append(files, layer.File{Name: name, Mode: mode, Content: content})
		return nil
	})
	return files, err
}

func readFile(fsys fs.FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // reading only
	return readAll(f, limit)
}

func readAll(r io.Reader, limit int64) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = fmt.Errorf("more than %d bytes: %w", limit, layer.ErrHostile)
	}
	return content, err
}

// download reads URL and checks it.
func (s Source) download(ctx context.Context, transport http.RoundTripper) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		return nil, err
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", fleet.ErrUnavailable, err)
	}
	defer resp.Body.Close() //nolint:errcheck // reading only
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return nil, fmt.Errorf("status 404: %w", fleet.ErrNotFound)
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		return nil, fmt.Errorf("status %d: %w", resp.StatusCode, fleet.ErrDenied)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("status %d: %w", resp.StatusCode, fleet.ErrUnavailable)
	}
	content, err := readAll(resp.Body, layer.DefaultLimits().Bytes)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(content)
	if got := hex.EncodeToString(sum[:]); !strings.EqualFold(got, s.SHA256) {
		return nil, fmt.Errorf("its sha256 is %s, not %s", got, s.SHA256)
	}
	return content, nil
}

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
	for range 8 { // symbolic links
		files, link, err := takeFrom(ctx, repo, manifest.Layers, want)
		if err != nil || link == "" {
			return files, err
		}
		want = strings.TrimPrefix(path.Clean(link), "/")
	}
	return nil, fmt.Errorf("/%s: too many symbolic links", want)
}

// absolute is where a link at a place leads.
func absolute(link, at string) string {
	if strings.HasPrefix(link, "/") {
		return link
	}
	return path.Join("/", path.Dir(at), link)
}

func takeFrom(ctx context.Context, repo repository, layers []descriptor, want string) (files []layer.File, link string, err error) {
	found := map[string]bool{}
	for i := len(layers) - 1; i >= 0; i-- {
		listing := layer.NewListing()
		taken, link, err := takeLayer(ctx, repo, layers[i], listing, want)
		if err != nil || link != "" && len(files) == 0 {
			return nil, link, err
		}
		if link != "" {
			break // a directory took its place
		}
		for _, f := range taken {
			if f.Name == "" { // the path itself
				f.Name = path.Base(want)
				return []layer.File{f}, "", nil
			}
			if !found[f.Name] {
				found[f.Name] = true
				files = append(files, f)
			}
		}
		for name := range listing.Whiteouts {
			if inside, ok := strings.CutPrefix(name, want+"/"); ok {
				found[inside] = true
			}
		}
		if listing.Hides(want) {
			break
		}
	}
	if len(files) == 0 {
		return nil, "", fmt.Errorf("/%s is not in the image: %w", want, fleet.ErrNotFound)
	}
	return files, "", nil
}

// takeLayer reads one layer to its end, so that its digest is checked.
func takeLayer(ctx context.Context, repo repository, d descriptor, listing *layer.Listing, want string) (files []layer.File, link string, err error) {
	blob := repo.Whole(ctx, d.wire())
	defer blob.Close() //nolint:errcheck // reading only
	plain, err := layer.Decompress(blob)
	if err != nil {
		return nil, "", err
	}
	defer plain.Close() //nolint:errcheck // reading only
	t := tar.NewReader(plain)
	limit := layer.DefaultLimits().Bytes
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, "", err
		}
		name, ok := layer.Clean(h.Name)
		if !ok {
			continue
		}
		listing.Add(name, h)
		inside, below := strings.CutPrefix(name, want+"/")
		switch {
		case h.Typeflag == tar.TypeSymlink && (name == want || strings.HasPrefix(want, name+"/")): // it, or a directory on the way
			link = path.Join(absolute(h.Linkname, name), strings.TrimPrefix(want, name))
			continue
		case name == want && h.Typeflag == tar.TypeLink:
			target, ok := layer.Clean(h.Linkname)
			if !ok {
				return nil, "", fmt.Errorf("/%s is a hard link out of the image: %w", name, layer.ErrHostile)
			}
			link = "/" + target
			continue
		case name == want && h.Typeflag == tar.TypeReg:
			inside, below = "", true
		}
		if below && h.Typeflag == tar.TypeLink {
			other, _ := layer.Clean(h.Linkname)
			target, ok := strings.CutPrefix(other, want+"/")
			at := slices.IndexFunc(files, func(f layer.File) bool { return ok && f.Name == target })
			if at < 0 {
				return nil, "", fmt.Errorf("/%s is a hard link to /%s, which lies elsewhere: %w", name, other, layer.ErrHostile)
			}
			files = append(files, layer.File{Name: inside, Mode: 0o644, Content: files[at].Content})
			continue
		}
		if !below || h.Typeflag != tar.TypeReg || strings.HasPrefix(path.Base(name), ".wh.") {
			continue
		}
		if strings.Contains("/"+inside, "/.wh.") {
			return nil, "", fmt.Errorf("/%s is the name of a whiteout: %w", name, layer.ErrHostile)
		}
		content, err := readAll(t, limit)
		if err != nil {
			return nil, "", err
		}
		limit -= int64(len(content))
		link = "" // of entries with one name the last counts
		files = slices.DeleteFunc(files, func(f layer.File) bool { return f.Name == inside })
		files = append(files, layer.File{Name: inside, Mode: 0o644, Content: content})
	}
	for _, rest := range []io.Reader{plain, blob} { // the digest is checked at the end
		if _, err := io.Copy(io.Discard, rest); err != nil {
			return nil, "", err
		}
	}
	return files, link, nil
}
