package gitops

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"

	"github.com/go-git/go-git/v5/plumbing"
)

// blobCache keeps contents of files between runs in one file of records: id,
// length, bytes. A record is believed only if its bytes have its id. Trouble
// with the cache is never an error of a run: it is then as if it were empty.
type blobCache struct {
	dir    string
	loaded bool
	file   *os.File // open as long as the process lives: contents are read when they are needed
	places map[plumbing.Hash]place
}

type place struct {
	offset int64
	length int
}

const (
	cacheFile  = "blobs.v1"
	cacheLimit = 1 << 30 // bytes
)

func newBlobCache(dir string) *blobCache { return &blobCache{dir: dir} }

// load reads where the records lie, not the records.
func (c *blobCache) load() error {
	c.loaded, c.places = true, map[plumbing.Hash]place{}
	root, err := os.OpenRoot(c.dir)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // only read
	if c.file, err = root.Open(cacheFile); err != nil {
		return err
	}
	reader := bufio.NewReaderSize(c.file, 1<<16)
	var head [24]byte
	for offset := int64(0); ; {
		if _, err := io.ReadFull(reader, head[:]); err != nil {
			return nil // the end, or a record that a dying run left half
		}
		length := int(binary.BigEndian.Uint32(head[20:]))
		if n, err := reader.Discard(length); err != nil || n != length {
			return nil
		}
		c.places[plumbing.Hash(head[:20])] = place{offset: offset + 24, length: length}
		offset += int64(24 + length)
	}
}

// openCache reads where the records lie, and keeps the file open for reading them.
func (r *Repository) openCache(ctx context.Context) {
	if r.cache == nil || r.cache.loaded {
		return
	}
	if err := r.cache.load(); err != nil && !errors.Is(err, os.ErrNotExist) {
		r.options.Log.DebugContext(ctx, "reading the cache of files", "error", err)
	}
}

// get reads a content. What is damaged is forgotten.
func (c *blobCache) get(b plumbing.Hash) ([]byte, bool) {
	if c == nil {
		return nil, false
	}
	at, there := c.places[b]
	if !there {
		return nil, false
	}
	raw := make([]byte, at.length)
	if _, err := c.file.ReadAt(raw, at.offset); err != nil || plumbing.ComputeHash(plumbing.BlobObject, raw) != b {
		delete(c.places, b)
		return nil, false
	}
	return raw, true
}

// keep adds contents to the cache.
func (r *Repository) keep(ctx context.Context, blobs []plumbing.Hash) {
	if r.cache == nil {
		return
	}
	if err := r.cache.add(r, blobs); err != nil {
		r.options.Log.DebugContext(ctx, "writing the cache of files", "error", err)
	}
}

func (c *blobCache) add(r *Repository, blobs []plumbing.Hash) (err error) {
	if err := os.MkdirAll(c.dir, 0o755); err != nil { //nolint:gosec // what is in it is in the repository too
		return err
	}
	root, err := os.OpenRoot(c.dir)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // the file's own error counts
	file, err := root.OpenFile(cacheFile, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	end := int64(0)
	for _, p := range c.places {
		end = max(end, p.offset+int64(p.length))
	}
	if end > cacheLimit { // begin anew; what is still used comes back
		end, c.places = 0, map[plumbing.Hash]place{}
	}
	if err := file.Truncate(end); err != nil { // a half record of a run that died
		return err
	}
	if _, err := file.Seek(end, io.SeekStart); err != nil {
		return err
	}
	writer := bufio.NewWriterSize(file, 1<<16)
	for _, b := range blobs {
		raw, stored := r.blob(b)
		if !stored || len(raw) > 16<<20 {
			continue
		}
		var head [24]byte
		copy(head[:20], b[:])
		binary.BigEndian.PutUint32(head[20:], uint32(len(raw))) //nolint:gosec // at most 16 MiB
		if _, err := writer.Write(head[:]); err != nil {
			return err
		}
		if _, err := writer.Write(raw); err != nil {
			return err
		}
		if c.places == nil {
			c.places = map[plumbing.Hash]place{}
		}
		c.places[b] = place{offset: end + 24, length: len(raw)}
		end += int64(24 + len(raw))
	}
	if err := writer.Flush(); err != nil {
		return err
	}
	if c.file == nil {
		c.file, err = root.Open(cacheFile)
	}
	return err
}
