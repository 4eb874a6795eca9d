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
	"sync"

	"github.com/klauspost/compress/gzip"

	"github.com/otelshift/otelshift/pkg/imagebuild/layer"
)

// listings remembers what whole layers say of directories, by diffID: base
// layers are shared by many images.
type listings struct {
	cache *os.Root // may be nil
	log   *slog.Logger

	mu    sync.Mutex
	known map[string]*layer.Listing
}

// look adds what a layer says to the view, reading it until the view is
// enough.
func (c *listings) look(ctx context.Context, s *stack, i int, view *layer.View, enough func() bool) (err error) {
	diffID := s.config.RootFS.DiffIDs[i]
	if l := c.get(ctx, diffID); l != nil {
		view.Listings = append(view.Listings, l)
		return nil
	}
	l := layer.NewListing()
	view.Listings = append(view.Listings, l)
	blob := s.repo.Ranges(ctx, s.layers[i].wire())
	defer func() {
		if e := blob.Close(); err == nil {
			err = e
		}
	}()
	plain, err := layer.Decompress(blob)
	if err != nil {
		return err
	}
	err = l.Scan(plain, enough)
	if e := plain.Close(); err == nil {
		err = e
	}
	if err == nil && l.Complete {
		c.put(ctx, diffID, l)
	}
	return err
}

func (c *listings) get(ctx context.Context, diffID string) *layer.Listing {
	c.mu.Lock()
	l := c.known[diffID]
	c.mu.Unlock()
	if l != nil || c.cache == nil {
		return l
	}
	l, err := c.read(diffID)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) { // it may be lost at any time
			c.log.DebugContext(ctx, "cannot use a cached listing", "layer", diffID, "error", err.Error())
		}
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remember(diffID, l)
	return l
}

// remember keeps a listing in memory; c.mu is held.
func (c *listings) remember(diffID string, l *layer.Listing) {
	if c.known == nil {
		c.known = map[string]*layer.Listing{}
	}
	c.known[diffID] = l
}

func (c *listings) put(ctx context.Context, diffID string, l *layer.Listing) {
	c.mu.Lock()
	c.remember(diffID, l)
	c.mu.Unlock()
	if c.cache == nil {
		return
	}
	if err := c.save(diffID, l); err != nil {
		c.log.DebugContext(ctx, "cannot cache a listing", "layer", diffID, "error", err.Error())
	}
}

// file is the cache's name of a listing; the number is the format's.
func file(diffID string) string {
	return "listing-1-" + strings.TrimPrefix(diffID, "sha256:") + ".json.gz"
}

func (c *listings) read(diffID string) (*layer.Listing, error) {
	f, err := c.cache.Open(file(diffID))
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // reading only
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	l := layer.NewListing()
	if err := json.NewDecoder(z).Decode(l); err != nil {
		return nil, err
	}
	if !l.Complete {
		return nil, fmt.Errorf("reading %s: it is not complete", f.Name())
	}
	return l, nil
}

// save writes beside the place and renames: another run may read meanwhile.
func (c *listings) save(diffID string, l *layer.Listing) (err error) {
	name := file(diffID)
	temporary := fmt.Sprintf("%s.%d", name, os.Getpid())
	f, err := c.cache.Create(temporary)
	if err != nil {
		return err
	}
	z := gzip.NewWriter(f)
	err = json.NewEncoder(z).Encode(l)
	if e := z.Close(); err == nil {
		err = e
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = c.cache.Rename(temporary, name)
	}
	if err != nil {
		return errors.Join(err, c.cache.Remove(temporary))
	}
	return nil
}
