package layer

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// large files are compressed apart from what surrounds them in a layer, in
// bytes.
const large = 64 << 10

// Packed is what a large file holds, compressed once for all layers that it is
// in: a gzip member of its own. A gzip file may have several, as those of
// eStargz have; see RFC 1952, section 2.2.
type Packed struct {
	content []byte
	once    sync.Once
	member  []byte
	err     error
}

// Pack gives the content's packed form, nil for a file that is not large. It
// compresses nothing yet.
func Pack(content []byte) *Packed {
	if len(content) < large {
		return nil
	}
	return &Packed{content: content}
}

// Member compresses the content, the first time.
func (p *Packed) Member() ([]byte, error) {
	p.once.Do(func() {
		var out bytes.Buffer
		out.Grow(len(p.content))
		var z *gzip.Writer
		if z, p.err = gzip.NewWriterLevel(&out, gzip.DefaultCompression); p.err != nil {
			return
		}
		if _, p.err = z.Write(p.content); p.err == nil {
			p.err = z.Close()
		}
		p.member = out.Bytes()
	})
	return p.member, p.err
}

// Content is the compressed bytes of a layer, in parts. Layers share those of
// large files.
type Content [][]byte

// Open reads the content from its start.
func (c Content) Open() io.ReadCloser {
	readers := make([]io.Reader, len(c))
	for i, part := range c {
		readers[i] = bytes.NewReader(part)
	}
	return io.NopCloser(io.MultiReader(readers...))
}

// Make makes the compressed layer. Order: parents from the root down,
// whiteouts, the own directory and its opaque marker, its files, other files.
func (s Spec) Make() (Result, Content, error) {
	m := &maker{plain: sha256.New(), packed: sha256.New()}
	z, err := gzip.NewWriterLevel(&m.small, gzip.DefaultCompression)
	if err != nil {
		return Result{}, nil, fmt.Errorf("writing a layer: %w", err)
	}
	m.z, m.t = z, tar.NewWriter(m)
	if err := s.entries(m); err != nil {
		return Result{}, nil, fmt.Errorf("writing a layer: %w", err)
	}
	if err := m.t.Close(); err != nil {
		return Result{}, nil, fmt.Errorf("writing a layer: %w", err)
	}
	if err := m.cut(); err != nil {
		return Result{}, nil, fmt.Errorf("writing a layer: %w", err)
	}
	result := Result{
		Digest: "sha256:" + hex.EncodeToString(m.packed.Sum(nil)),
		DiffID: "sha256:" + hex.EncodeToString(m.plain.Sum(nil)),
	}
	for _, part := range m.parts {
		result.Size += int64(len(part))
	}
	return result, m.parts, nil
}

// maker makes a layer of gzip members: what is small together, what is large
// each by itself.
type maker struct {
	t             *tar.Writer
	z             *gzip.Writer // into small
	small         bytes.Buffer // since the last part
	plain, packed hash.Hash
	parts         Content
	apart         bool // what comes is in a part already
}

// Write implements io.Writer, for the tar stream.
func (m *maker) Write(p []byte) (int, error) {
	if m.apart {
		return len(p), nil
	}
	m.plain.Write(p)
	return m.z.Write(p) //nolint:wrapcheck // a plain pass-through
}

// cut ends a member.
func (m *maker) cut() error {
	if err := m.z.Close(); err != nil {
		return err //nolint:wrapcheck // Make's
	}
	part := bytes.Clone(m.small.Bytes())
	m.packed.Write(part)
	m.parts = append(m.parts, part)
	m.small.Reset()
	m.z.Reset(&m.small)
	return nil
}

// file writes a file's content, behind its header.
func (m *maker) file(f File) error {
	packed := f.Packed
	if packed == nil {
		packed = Pack(f.Content)
	}
	if packed == nil {
		_, err := m.t.Write(f.Content)
		return err //nolint:wrapcheck // Make's
	}
	if err := m.cut(); err != nil {
		return err
	}
	// The two sums take as long as each other, and longer than all else.
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.plain.Write(f.Content)
	}()
	member, err := packed.Member()
	m.packed.Write(member)
	<-done
	if err != nil {
		return err
	}
	m.parts = append(m.parts, member)
	m.apart = true
	_, err = m.t.Write(f.Content)
	m.apart = false
	return err //nolint:wrapcheck // Make's
}
