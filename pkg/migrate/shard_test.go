package migrate

import (
	"fmt"
	"testing"

	"github.com/otelshift/otelshift/pkg/fleet"
)

func TestParseShard(t *testing.T) {
	for text, want := range map[string]Shard{"": {}, "1/1": {1, 1}, "2/5": {2, 5}, "0/5": {0, 5}} {
		if got, err := ParseShard(text); err != nil || got != want {
			t.Errorf("ParseShard(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"6/5", "0/0", "1", "1/", "/2", "a/b", "-1/2", "1/2/3", "1/0"} {
		if got, err := ParseShard(text); err == nil {
			t.Errorf("ParseShard(%q) = %v, want an error", text, got)
		}
	}
}

// TestShardsPart has each image in exactly one shard, and no shard without a
// fair part.
func TestShardsPart(t *testing.T) {
	const images, shards = 1000, 7
	built := map[int]int{}
	for i := range images {
		r := fleet.Rebuild{From: fmt.Sprintf("reg.example/team/app-%d:1.%d", i, i%9)}
		in := 0
		for s := 1; s <= shards; s++ {
			if (Shard{Index: s, Count: shards}).Has(r) {
				in++
				built[s]++
			}
		}
		if in != 1 {
			t.Errorf("%s is in %d shards, want 1", r.From, in)
		}
		if (Shard{Index: 0, Count: shards}).Has(r) != (Shard{Index: shards, Count: shards}).Has(r) {
			t.Errorf("%s: shard 0/%d is not shard %d/%d", r.From, shards, shards, shards)
		}
		if !(Shard{}).Has(r) {
			t.Errorf("%s is not in the whole", r.From)
		}
	}
	for s := 1; s <= shards; s++ {
		if built[s] < images/shards/2 || built[s] > images/shards*2 {
			t.Errorf("shard %d has %d of %d images, want about %d", s, built[s], images, images/shards)
		}
	}
}
