package layer_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/otelshift/otelshift/pkg/imagebuild/layer"
)

// TestLayersOfAllForms: several gzip members (estargz), several zstd frames
// with frames between that carry no content (zstd:chunked, pzstd), neither.
func TestLayersOfAllForms(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("a layer. "), 10_000)
	half := len(content) / 2
	zipped := func(part []byte) []byte {
		var buf bytes.Buffer
		z := gzip.NewWriter(&buf)
		if _, err := z.Write(part); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return buf.Bytes()
	}
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	frame := func(part []byte) []byte { return encoder.EncodeAll(part, nil) }
	skipped := []byte{0x5e, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 'a', 'b', 'c', 'd'}
	for name, packed := range map[string][]byte{
		"plain":                         content,
		"gzip":                          zipped(content),
		"gzip, two members":             append(zipped(content[:half]), zipped(content[half:])...),
		"zstd":                          frame(content),
		"zstd, a frame to skip first":   append(bytes.Clone(skipped), frame(content)...),
		"zstd, two frames and one more": bytes.Join([][]byte{frame(content[:half]), skipped, frame(content[half:]), skipped}, nil),
	} {
		plain, err := layer.Decompress(bytes.NewReader(packed))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := io.ReadAll(plain)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: %d bytes, %v, want %d", name, len(got), err, len(content))
		}
	}
}
