package imagebuild

import (
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
	if s.URL != "" {
		return wire.Address(s.URL)
	}
	return s.File + s.Archive + s.Image
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
		files = append(files, layer.File{Name: name, Mode: layer.ModeOf(int64(info.Mode().Perm())), Content: content})
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
		return nil, wire.Classify(ctx, err)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return nil, wire.Classify(ctx, err)
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
