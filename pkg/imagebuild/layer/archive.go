package layer

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Limits of what an archive may unpack to.
type Limits struct {
	Bytes int64 // of all files
	Files int
	Ratio int64 // unpacked to packed bytes, beyond the first MiB
}

// DefaultLimits are ten times what an agent with its extensions needs.
func DefaultLimits() Limits { return Limits{Bytes: 512 << 20, Files: 20_000, Ratio: 200} }

// ErrHostile is an archive that nobody makes in good faith.
var ErrHostile = errors.New("refused")

// ReadArchive reads a tar stream, plain or compressed by gzip or zstd (told by
// its first bytes), whose files are to be put into an image. strip is a
// directory that is taken off every name; what lies beside it is ignored.
// Anything but regular files and directories is refused, as are names that
// leave the directory, that are there twice, or that a layer would take for a
// whiteout.
func ReadArchive(r io.Reader, strip string, limits Limits) ([]File, error) {
	meter := NewMeter(limits)
	plain, err := Decompress(meter.Packed(r))
	if err != nil {
		return nil, err
	}
	defer plain.Close() //nolint:errcheck // reading only; errors show in Read
	prefix, ok := Clean(strip)
	if !ok {
		return nil, fmt.Errorf("reading an archive: prefix %q leaves it: %w", strip, ErrHostile)
	}
	var files []File
	seen := map[string]bool{}
	t := tar.NewReader(plain)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading an archive: %w", err)
		}
		name, err := safeName(h)
		if err != nil {
			return nil, err
		}
		if prefix != "" {
			inside, ok := strings.CutPrefix(name, prefix+"/")
			if !ok {
				continue
			}
			name = inside
		}
		if h.Typeflag == tar.TypeDir || name == "" {
			continue
		}
		if seen[name] {
			return nil, fmt.Errorf("reading an archive: %s is there twice: %w", name, ErrHostile)
		}
		seen[name] = true
		content, err := meter.Read(t, h.Size)
		if err != nil {
			return nil, fmt.Errorf("reading %s of an archive: %w", name, err)
		}
		files = append(files, File{Name: name, Mode: ModeOf(h.Mode), Content: content})
	}
}

// safeName refuses entries that have no business in an agent's archive.
func safeName(h *tar.Header) (string, error) {
	name, ok := Clean(h.Name)
	switch {
	case !ok || strings.HasPrefix(h.Name, "/") || strings.ContainsAny(h.Name, "\\\x00"):
		return "", fmt.Errorf("reading an archive: %q leaves it: %w", h.Name, ErrHostile)
	case h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeDir && h.Typeflag != tar.TypeXGlobalHeader:
		return "", fmt.Errorf("reading an archive: %q is a %s: %w", h.Name, Kind(h.Typeflag), ErrHostile)
	}
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, whiteoutPrefix) {
			return "", fmt.Errorf("reading an archive: %q is the name of a whiteout: %w", h.Name, ErrHostile)
		}
	}
	if h.Typeflag == tar.TypeXGlobalHeader {
		return "", nil
	}
	return name, nil
}

// Kind names what a tar entry is, for messages.
func Kind(typeflag byte) string {
	switch typeflag {
	case tar.TypeSymlink:
		return "symbolic link"
	case tar.TypeLink:
		return "hard link"
	case tar.TypeChar, tar.TypeBlock:
		return "device"
	case tar.TypeFifo:
		return "named pipe"
	}
	return fmt.Sprintf("tar entry of type %q", typeflag)
}

// ModeOf is the mode that a file gets: whether it can be run is kept.
func ModeOf(mode int64) int64 {
	if mode&0o100 != 0 {
		return 0o755
	}
	return 0o644
}

// Meter holds what is read of one source, however many streams it has, against
// its limits.
type Meter struct {
	limits           Limits
	files            int
	claimed          int64 // sizes that headers say
	packed, unpacked int64
}

// NewMeter is a meter of which nothing is used.
func NewMeter(limits Limits) *Meter { return &Meter{limits: limits} }

// Packed counts what is read of a stream before it is decompressed.
func (m *Meter) Packed(r io.Reader) io.Reader { return &counting{r: r, n: &m.packed} }

// Read reads one file without believing its header: memory grows with what
// arrives.
func (m *Meter) Read(r io.Reader, size int64) ([]byte, error) {
	m.files++
	m.claimed += size
	if m.files > m.limits.Files || m.claimed > m.limits.Bytes {
		return nil, fmt.Errorf("more than %d files or %d bytes: %w", m.limits.Files, m.limits.Bytes, ErrHostile)
	}
	var buf bytes.Buffer
	const step = 1 << 20
	for int64(buf.Len()) < size {
		n, err := io.CopyN(&buf, r, min(step, size-int64(buf.Len())))
		if err != nil {
			return nil, err //nolint:wrapcheck // the caller names the file
		}
		m.unpacked += n
		if m.unpacked > step && m.unpacked > m.limits.Ratio*m.packed {
			return nil, fmt.Errorf("it unpacks to more than %d times its size: %w", m.limits.Ratio, ErrHostile)
		}
	}
	return buf.Bytes(), nil
}

type counting struct {
	r io.Reader
	n *int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	*c.n += int64(n)
	return n, err //nolint:wrapcheck // io.EOF has to pass as it is
}

// isSkippable reports a zstd frame that carries no content, as pzstd puts before
// others. RFC 8878, section 3.1.2.
func isSkippable(magic []byte) bool {
	return len(magic) == 4 && magic[0]&0xf0 == 0x50 && bytes.Equal(magic[1:], []byte{0x2a, 0x4d, 0x18})
}

// Decompress reads gzip, zstd or neither, told by the first bytes.
func Decompress(r io.Reader) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	magic, err := buffered.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading a stream: %w", err)
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, fmt.Errorf("reading a gzip stream: %w", err)
		}
		return z, nil
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}), isSkippable(magic):
		z, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))
		if err != nil {
			return nil, fmt.Errorf("reading a zstd stream: %w", err)
		}
		return z.IOReadCloser(), nil
	}
	return io.NopCloser(buffered), nil
}
