package jar

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/flate"
)

// Signatures of the parts of an archive.
const (
	localHeader    = 0x04034b50
	dataDescriptor = 0x08074b50
)

// Flags and methods of an entry.
const (
	flagEncrypted  = 1 << 0
	flagDescriptor = 1 << 3 // sizes come behind the data
	stored         = 0
	deflated       = 8
)

const (
	maxPrefix = 1 << 20 // of a start script in front of an executable jar
)

// errUnreadable is what makes the rest of an archive unreadable as a stream.
var errUnreadable = errors.New("not readable as a stream")

// stream reads an archive entry by entry.
type stream struct {
	r       *bufio.Reader
	inflate io.ReadCloser // reused
	open    *entry
	left    *int64 // bytes that may still be unpacked, of nested archives too
}

// entry is one file of an archive; Read gives its content.
type entry struct {
	Name string

	stream     *stream
	flags      uint16
	method     uint16
	wide       bool  // zip64
	size       int64 // compressed; -1: unknown
	data       io.Reader
	compressed *io.LimitedReader
	opaque     bool // cannot be read, only skipped
}

func newStream(r io.Reader, left *int64) *stream {
	return &stream{r: bufio.NewReaderSize(r, 64<<10), left: left}
}

// next goes to the following entry. io.EOF: there are no more.
func (s *stream) next(first bool) (*entry, error) {
	if err := s.finish(); err != nil {
		return nil, err
	}
	if first {
		if err := s.seek(); err != nil {
			return nil, err
		}
	}
	head, err := s.r.Peek(4)
	if err != nil {
		return nil, truncated(err)
	}
	if binary.LittleEndian.Uint32(head) != localHeader {
		return nil, io.EOF // the central directory
	}
	var h [30]byte
	if _, err := io.ReadFull(s.r, h[:]); err != nil {
		return nil, truncated(err)
	}
	e := &entry{
		stream: s, flags: binary.LittleEndian.Uint16(h[6:]), method: binary.LittleEndian.Uint16(h[8:]),
		size: int64(binary.LittleEndian.Uint32(h[18:])),
	}
	unpacked := int64(binary.LittleEndian.Uint32(h[22:]))
	name := make([]byte, binary.LittleEndian.Uint16(h[26:]))
	extra := make([]byte, binary.LittleEndian.Uint16(h[28:]))
	for _, part := range [][]byte{name, extra} {
		if _, err := io.ReadFull(s.r, part); err != nil {
			return nil, truncated(err)
		}
	}
	e.Name = string(name)
	e.zip64(extra, unpacked)
	return e, s.begin(e)
}

// seek skips what stands in front of the archive: Spring Boot's executable
// jars begin with a shell script.
func (s *stream) seek() error {
	magic := []byte{'P', 'K', 3, 4}
	for skipped := 0; skipped < maxPrefix; {
		window, err := s.r.Peek(32 << 10)
		if skipped == 0 && bytes.HasPrefix(window, []byte{'P', 'K', 5, 6}) {
			return nil // empty: nothing but the end of the central directory
		}
		if i := bytes.Index(window, magic); i >= 0 {
			_, err := s.r.Discard(i)
			return err //nolint:wrapcheck // cannot fail: it was peeked
		}
		if err != nil {
			return fmt.Errorf("no archive: %w", errUnreadable)
		}
		n, _ := s.r.Discard(len(window) - len(magic))
		skipped += n
	}
	return fmt.Errorf("no archive in its first %d bytes: %w", maxPrefix, errUnreadable)
}

// zip64 reads sizes of more than four gigabytes. APPNOTE, 4.5.3.
func (e *entry) zip64(extra []byte, unpacked int64) {
	for len(extra) >= 4 {
		id, n := binary.LittleEndian.Uint16(extra), int(binary.LittleEndian.Uint16(extra[2:]))
		if n > len(extra)-4 {
			return
		}
		if id == 1 {
			e.wide = true
			field := extra[4 : 4+n]
			if unpacked == 0xffffffff && len(field) >= 8 {
				field = field[8:]
			}
			if e.size == 0xffffffff && len(field) >= 8 {
				e.size = int64(binary.LittleEndian.Uint64(field)) //nolint:gosec // a size beyond it is refused in begin
			}
		}
		extra = extra[4+n:]
	}
}

// begin prepares the reading of an entry's content.
func (s *stream) begin(e *entry) error {
	if e.flags&flagDescriptor != 0 && e.size == 0 {
		e.size = -1
	}
	if e.size < -1 {
		return fmt.Errorf("%s has an impossible size: %w", e.Name, errUnreadable)
	}
	e.opaque = e.flags&flagEncrypted != 0 || e.method != stored && e.method != deflated
	if e.size < 0 && (e.opaque || e.method == stored) {
		return fmt.Errorf("%s does not say how long it is: %w", e.Name, errUnreadable)
	}
	var source io.Reader = s.r
	if e.size >= 0 {
		e.compressed = &io.LimitedReader{R: s.r, N: e.size}
		source = e.compressed
	}
	switch {
	case e.opaque:
		e.data = bytes.NewReader(nil)
	case e.method == stored:
		e.data = source
	default:
		if e.compressed != nil {
			// Without a ByteReader the decompressor reads ahead, within the
			// entry, which is harmless.
			source = e.compressed
		}
		if err := s.reset(source); err != nil {
			return err
		}
		e.data = s.inflate
	}
	s.open = e
	return nil
}

func (s *stream) reset(source io.Reader) error {
	if s.inflate == nil {
		s.inflate = flate.NewReader(source)
		return nil
	}
	resetter, ok := s.inflate.(flate.Resetter)
	if !ok {
		s.inflate = flate.NewReader(source)
		return nil
	}
	return resetter.Reset(source, nil) //nolint:wrapcheck // never fails
}

// finish reads the rest of the open entry and what stands behind it.
func (s *stream) finish() error {
	e := s.open
	if e == nil {
		return nil
	}
	s.open = nil
	if e.compressed != nil {
		if _, err := io.Copy(io.Discard, e.compressed); err != nil {
			return truncated(err)
		}
		if e.compressed.N > 0 {
			return truncated(io.ErrUnexpectedEOF)
		}
	} else if _, err := io.Copy(io.Discard, e); err != nil {
		return truncated(err)
	}
	if e.flags&flagDescriptor == 0 {
		return nil
	}
	return s.descriptor()
}

// descriptor skips the sizes behind an entry's data: with or without a
// signature, of four or eight bytes each. APPNOTE, 4.3.9. What follows, another
// header or the central directory, tells.
func (s *stream) descriptor() error {
	window, err := s.r.Peek(28)
	if len(window) < 14 {
		return truncated(err)
	}
	for _, n := range []int{16, 24, 12, 20} {
		signed := n%8 == 0
		if signed != (binary.LittleEndian.Uint32(window) == dataDescriptor) || len(window) < n+2 {
			continue
		}
		if window[n] == 'P' && window[n+1] == 'K' {
			_, err := s.r.Discard(n)
			return err //nolint:wrapcheck // cannot fail: it was peeked
		}
	}
	return fmt.Errorf("nothing known follows an entry: %w", errUnreadable)
}

func truncated(err error) error {
	if errors.Is(err, errUnreadable) {
		return err
	}
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it ends too early: %w", errUnreadable)
	}
	var corrupt flate.CorruptInputError
	if errors.As(err, &corrupt) {
		return fmt.Errorf("%w: %w", err, errUnreadable)
	}
	return err
}

var errTooMuch = fmt.Errorf("it unpacks to more than %d GiB: %w", maxUnpacked>>30, errUnreadable)

// Read implements io.Reader.
func (e *entry) Read(p []byte) (int, error) {
	if *e.stream.left <= 0 {
		return 0, errTooMuch
	}
	n, err := e.data.Read(p)
	*e.stream.left -= int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		err = truncated(err)
	}
	return n, err //nolint:wrapcheck // io.EOF has to pass as it is
}
