package layer_test

import (
	"archive/tar"
	"testing"

	"github.com/otelshift/otelshift/pkg/imagebuild/layer"
)

// TestOfTwoEntriesForOnePath the last counts, or the first for who may stop
// there.
func TestOfTwoEntriesForOnePath(t *testing.T) {
	t.Parallel()
	file, directory := &tar.Header{Typeflag: tar.TypeReg}, &tar.Header{Typeflag: tar.TypeDir, Mode: 0o750}
	for _, row := range []struct {
		name        string
		entries     []*tar.Header
		first, last byte
	}{
		{"a directory behind a file", []*tar.Header{file, directory}, tar.TypeReg, tar.TypeDir},
		{"a file behind a directory", []*tar.Header{directory, file}, tar.TypeDir, tar.TypeReg},
		{"one between two", []*tar.Header{directory, file, directory}, tar.TypeDir, tar.TypeDir},
	} {
		l := layer.NewListing()
		for _, h := range row.entries {
			l.Add("app", h)
		}
		for _, one := range []struct {
			listing *layer.Listing
			want    byte
		}{{l, row.last}, {l.FirstCounts(), row.first}, {l.FirstCounts().LastCounts(), row.last}} {
			view := layer.View{Listings: []*layer.Listing{one.listing}}
			if got, known := view.Lookup("app"); known != layer.Present || got.Type != one.want {
				t.Errorf("%s: Lookup = %+v, %v, want type %q", row.name, got, known, one.want)
			}
		}
	}
}
