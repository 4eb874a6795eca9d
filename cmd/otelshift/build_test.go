package main

import (
	"testing"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/migrate"
)

// TestBuildTextNamesACodeOnce: a refusal carries its code, a failure does not.
func TestBuildTextNamesACodeOnce(t *testing.T) {
	failed := func(code fleet.Code, message string) migrate.BuildFailed {
		f := migrate.BuildFailed{From: "reg.example/cart:1"}
		f.Error.Code, f.Error.Message = code, message
		return f
	}
	got := buildText(migrate.BuildResult{Failed: []migrate.BuildFailed{
		failed(fleet.CodeImageMissing, "it is not there (image-missing): 404"), failed(fleet.CodeImageFailed, "the disk is full"),
	}})
	const want = "failed  reg.example/cart:1: it is not there (image-missing): 404\nfailed  reg.example/cart:1: the disk is full (image-failed)\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
