package imagebuild

import (
	"context"
	"sync"

	"github.com/otelshift/otelshift/pkg/imagebuild/layer"
)

// listingKind is the cache's name of listings; the number is the format's.
const listingKind = "listing-1"

// smallLayer arrives with the first range, so reading on costs next to nothing:
// of several entries for one directory the last is seen then.
const smallLayer = 64 << 10

// listings remembers what whole layers say of directories, by diffID: base
// layers are shared by many images.
type listings struct {
	cache *cache

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
	small, stop := s.layers[i].Size <= smallLayer, enough
	if small {
		stop = func() bool { return false }
	}
	err = l.Scan(plain, stop)
	if e := plain.Close(); err == nil {
		err = e
	}
	if err == nil && l.Complete && !(small && enough()) { // where little is needed, little is kept
		c.put(ctx, diffID, l)
	}
	return err
}

func (c *listings) get(ctx context.Context, diffID string) *layer.Listing {
	c.mu.Lock()
	l := c.known[diffID]
	c.mu.Unlock()
	if l != nil {
		return l
	}
	l = layer.NewListing()
	if !c.cache.load(ctx, listingKind, diffID, l) || !l.Complete {
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
	known := c.known[diffID] != nil
	c.remember(diffID, l)
	c.mu.Unlock()
	if known {
		return
	}
	c.cache.save(ctx, listingKind, diffID, l)
}
