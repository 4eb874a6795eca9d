package imagebuild

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
)

// cache keeps what was learnt of layers, by diffID, across runs. Whatever it
// holds may be lost at any time, so its errors are nobody's.
type cache struct {
	root *os.Root // nil: there is none
	log  *slog.Logger
	n    atomic.Int64 // files written, to tell temporary ones apart
}

func (c *cache) name(kind, diffID string) string {
	return kind + "-" + strings.TrimPrefix(diffID, "sha256:") + ".json.gz"
}

// load reads into a value and reports whether it was there.
func (c *cache) load(ctx context.Context, kind, diffID string, value any) bool {
	if c.root == nil {
		return false
	}
	err := c.read(c.name(kind, diffID), value)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.log.DebugContext(ctx, "cannot use what is cached", "kind", kind, "layer", diffID, "error", err.Error())
	}
	return err == nil
}

func (c *cache) read(name string, value any) error {
	f, err := c.root.Open(name)
	if err != nil {
		return err //nolint:wrapcheck // load's
	}
	defer f.Close() //nolint:errcheck // reading only
	z, err := gzip.NewReader(f)
	if err != nil {
		return err //nolint:wrapcheck // load's
	}
	return json.NewDecoder(z).Decode(value) //nolint:wrapcheck // load's
}

func (c *cache) save(ctx context.Context, kind, diffID string, value any) {
	if c.root == nil {
		return
	}
	if err := c.write(c.name(kind, diffID), value); err != nil {
		c.log.DebugContext(ctx, "cannot cache", "kind", kind, "layer", diffID, "error", err.Error())
	}
}

// write writes beside the place and renames: another run may read meanwhile.
func (c *cache) write(name string, value any) error {
	temporary := fmt.Sprintf("%s.%d-%d", name, os.Getpid(), c.n.Add(1))
	f, err := c.root.Create(temporary)
	if err != nil {
		return err //nolint:wrapcheck // save's
	}
	z := gzip.NewWriter(f)
	err = json.NewEncoder(z).Encode(value)
	if e := z.Close(); err == nil {
		err = e
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = c.root.Rename(temporary, name)
	}
	if err != nil {
		return errors.Join(err, c.root.Remove(temporary))
	}
	return nil
}
