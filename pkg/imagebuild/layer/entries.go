package layer

import (
	"archive/tar"
	"errors"
	"io"
	"iter"
)

// Entry is one entry of a layer.
type Entry struct {
	Name    string // as Clean makes it; "" is the root
	Header  *tar.Header
	Content io.Reader // until the next entry
}

// Entries reads a layer's tar stream. Entries whose names leave the root are
// left out: engines refuse such a layer, and they say nothing of a path. An
// error of the stream comes last, unwrapped; its end is none.
func Entries(r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		t := tar.NewReader(r)
		for {
			h, err := t.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(Entry{}, err)
				return
			}
			if name, ok := Clean(h.Name); ok && !yield(Entry{Name: name, Header: h, Content: t}, nil) {
				return
			}
		}
	}
}
