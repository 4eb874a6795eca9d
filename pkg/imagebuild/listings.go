package imagebuild

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"sync"

	"github.com/otelshift/otelshift/pkg/imagebuild/layer"
)

// listingKind is the cache's name of listings; the number is the format's.
const listingKind = "listing-3"

// smallLayer arrives with the first range, so reading on costs next to nothing:
// of several entries for one directory the last is seen then, as runtimes see
// it. Of larger layers the first counts, also where a listing of the whole is
// known: what is written must not follow from what was read before.
const smallLayer = 64 << 10

// listings remembers what whole layers say of directories, by diffID: base
// layers are shared by many images. The diffID is the content's own: what an
// image's configuration claims is no reason to remember anything.
type listings struct {
	cache *cache

	mu    sync.Mutex
	known map[string]*layer.Listing
}

// look adds what a layer says to the view, reading it until the view is
// enough.
func (c *listings) look(ctx context.Context, s *stack, i int, view *layer.View, enough func() bool) (err error) {
	diffID, small := s.config.RootFS.DiffIDs[i], s.layers[i].Size <= smallLayer
	l := c.get(ctx, diffID)
	known := l != nil
	if !known {
		l = layer.NewListing()
	}
	if !small {
		l = l.FirstCounts()
	}
	view.Listings = append(view.Listings, l)
	if known {
		return nil
	}
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
	defer func() {
		if e := plain.Close(); err == nil {
			err = e
		}
	}()
	stop := enough
	if small {
		stop = func() bool { return false }
	}
	content := newContent(plain)
	if err := l.Scan(content, stop); err != nil || !l.Complete {
		return err
	}
	if small && enough() { // where little is needed, little is kept
		return nil
	}
	if is, err := content.is(diffID); err != nil || !is {
		return err
	}
	c.put(ctx, diffID, l.LastCounts())
	return nil
}

// content is a layer's tar stream, whose digest is its diffID.
type content struct {
	io.Reader
	sum hash.Hash
}

func newContent(plain io.Reader) *content {
	sum := sha256.New()
	return &content{Reader: io.TeeReader(plain, sum), sum: sum}
}

// is reads what is left and compares.
func (c *content) is(diffID string) (bool, error) {
	if _, err := io.Copy(io.Discard, c); err != nil {
		return false, err //nolint:wrapcheck // the caller names the layer
	}
	return "sha256:"+hex.EncodeToString(c.sum.Sum(nil)) == diffID, nil
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
