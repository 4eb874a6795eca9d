package wire

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
)

func TestErrorsShowNoSecretsOfAddresses(t *testing.T) {
	t.Parallel()
	err := Classify(context.Background(), &url.Error{Op: "Put", URL: "https://ci:SESAME@bucket.example/up?_state=SESAME#SESAME", Err: errors.New("refused")})
	if text := err.Error(); strings.Contains(text, "SESAME") || !strings.Contains(text, "https://bucket.example/up") {
		t.Errorf("%s", text)
	}
}

func TestWhatARegistrySaysStaysOneShortLine(t *testing.T) {
	t.Parallel()
	text := said("no\nway\x1b[31m " + strings.Repeat("é", 1000))
	if strings.ContainsAny(text, "\n\x1b") || len(text) > 310 || !strings.HasPrefix(text, "no way") {
		t.Errorf("%q", text)
	}
}
