package migrate

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// Shard is one of several equal parts of the images, so that several runners
// build a large fleet's. The zero value is all of them.
type Shard struct {
	Index, Count int // 0 and Count are the same shard
}

// ParseShard reads "i/n"; empty means everything. Counting may start at 1, as
// people do, or at 0, as an Indexed Job of Kubernetes does: 0/n is n/n.
func ParseShard(text string) (Shard, error) {
	if text == "" {
		return Shard{}, nil
	}
	i, n, found := strings.Cut(text, "/")
	index, wrong := strconv.Atoi(i)
	count, err := strconv.Atoi(n)
	if !found || wrong != nil || err != nil || index < 0 || count < 1 || index > count {
		return Shard{}, fmt.Errorf("shard %q: want i/n, for example 2/5", text)
	}
	return Shard{Index: index, Count: count}, nil
}

// Has reports whether the rebuild is in the shard. It depends on nothing but
// the rebuild: runners that see the repository at different revisions never
// build the same image and leave none to nobody.
func (s Shard) Has(r fleet.Rebuild) bool {
	if s.Count <= 1 {
		return true
	}
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(r.Key()))                             // a hash takes everything
	return hash.Sum64()%uint64(s.Count) == uint64(s.Index%s.Count) //nolint:gosec // both are positive
}
