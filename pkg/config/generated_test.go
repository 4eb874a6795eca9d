package config

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the generated files")

func TestGeneratedFilesAreUpToDate(t *testing.T) {
	for file, generate := range map[string]func() ([]byte, error){
		"../../docs/otelshift.schema.json": Schema,
		"../../docs/configuration.md":      Reference,
	} {
		want, err := generate()
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s has drifted from the types of pkg/config; run \"make generate\" (-want +got):\n%s", file, cmp.Diff(string(want), string(got)))
		}
	}
}

func TestEveryKeyIsDescribed(t *testing.T) {
	comments, err := parseComments()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range comments {
		if text == "" && name != "Remove.Auto" && name != "Remove.Paths" {
			t.Errorf("%s has no comment", name)
		}
	}
}
