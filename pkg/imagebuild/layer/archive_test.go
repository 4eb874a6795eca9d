package layer_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/otelshift/otelshift/pkg/imagebuild/layer"
)

func TestAnArchiveIsHeldToItsLimits(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	for n := range 4 {
		content := make([]byte, 100)
		if err := w.WriteHeader(&tar.Header{Name: fmt.Sprint(n), Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name    string
		limits  layer.Limits
		hostile bool
	}{
		{"just enough", layer.Limits{Bytes: 400, Files: 4, Ratio: 1}, false},
		{"a byte less", layer.Limits{Bytes: 399, Files: 4, Ratio: 1}, true},
		{"a file less", layer.Limits{Bytes: 400, Files: 3, Ratio: 1}, true},
	} {
		files, err := layer.ReadArchive(bytes.NewReader(packed.Bytes()), "", row.limits)
		if row.hostile != errors.Is(err, layer.ErrHostile) || !row.hostile && (err != nil || len(files) != 4) {
			t.Errorf("%s: %d files, %v", row.name, len(files), err)
		}
	}
}
