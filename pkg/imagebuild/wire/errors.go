package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// ErrUnexpected says that the registry answered something that the protocol does not
// provide for; go-containerregistry's remote package may know better.
var ErrUnexpected = errors.New("unexpected answer")

// Error is a registry's refusal. errors.Is finds fleet.ErrNotFound,
// ErrDenied and ErrUnavailable in it by its status.
type Error struct {
	Method, Host, Path string
	Status             int
	Code               string // of the first error in the body: MANIFEST_UNKNOWN
	Message            string
}

// Codes that callers branch on. OCI distribution-spec v1.1, "Error Codes";
// distribution adds MANIFEST_BLOB_UNKNOWN.
const (
	CodeBlobUnknown         = "BLOB_UNKNOWN"
	CodeManifestBlobUnknown = "MANIFEST_BLOB_UNKNOWN"
)

// Error implements error.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s answered %d to %s %s", e.Host, e.Status, e.Method, e.Path)
	switch {
	case e.Status == http.StatusMethodNotAllowed && e.Method != http.MethodGet && e.Method != http.MethodHead:
		b.WriteString(" (the registry is read-only)")
	case e.Code != "" && e.Message != "":
		fmt.Fprintf(&b, " (%s: %s)", e.Code, e.Message)
	case e.Code != "":
		fmt.Fprintf(&b, " (%s)", e.Code)
	}
	return b.String()
}

// Is maps the status to the sentinels of fleet.
func (e *Error) Is(target error) bool {
	switch e.Status {
	case http.StatusNotFound:
		return target == fleet.ErrNotFound
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed:
		return target == fleet.ErrDenied
	case http.StatusTooManyRequests, http.StatusRequestTimeout:
		return target == fleet.ErrUnavailable
	}
	return e.Status >= http.StatusInternalServerError && target == fleet.ErrUnavailable
}

// Address is a URL as it may be shown: its query and user are often secrets,
// those of a presigned address and of an upload session among them.
func Address(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return "an address that cannot be read"
	}
	parsed.User, parsed.RawQuery, parsed.Fragment = nil, "", ""
	return parsed.String()
}

// discreet shows no more of the address that an error of net/http tells of.
func discreet(err error) error {
	var told *url.Error
	if errors.As(err, &told) {
		told.URL = Address(told.URL)
	}
	return err
}

// said is what a server says, for one line of a message.
func said(text string) string {
	const most = 300 // bytes
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// refusal makes an Error of an answer and closes it.
func refusal(resp *http.Response) *Error {
	defer closeBody(resp)
	e := &Error{
		Method: resp.Request.Method, Host: resp.Request.URL.Host, Path: resp.Request.URL.Path, Status: resp.StatusCode,
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, 8<<10))
	if err != nil {
		return e
	}
	var body struct {
		Errors []struct {
			Code    string          `json:"code"`
			Message string          `json:"message"`
			Detail  json.RawMessage `json:"detail"`
		} `json:"errors"`
	}
	if json.Unmarshal(data, &body) == nil {
		for _, one := range body.Errors {
			if e.Code == "" || one.Code == CodeManifestBlobUnknown {
				e.Code, e.Message = said(one.Code), said(one.Message)
			}
		}
	}
	return e
}

// classify turns what go-containerregistry's transport and net/http report
// into errors that callers can branch on.
func classify(ctx context.Context, err error) error {
	var refused *transport.Error
	if errors.As(err, &refused) {
		e := &Error{Status: refused.StatusCode}
		if refused.Request != nil {
			e.Method, e.Host, e.Path = refused.Request.Method, refused.Request.URL.Host, refused.Request.URL.Path
		}
		if len(refused.Errors) > 0 {
			e.Code, e.Message = said(string(refused.Errors[0].Code)), said(refused.Errors[0].Message)
		}
		return e
	}
	var own *Error
	err = discreet(err)
	if errors.As(err, &own) || ctx.Err() != nil {
		return err
	}
	return fmt.Errorf("%w: %w", fleet.ErrUnavailable, err)
}

// Classify turns errors of go-containerregistry's packages into errors that
// errors.Is finds fleet's sentinels in.
func Classify(ctx context.Context, err error) error { return classify(ctx, err) }

// closeBody reads the little that is left, so that the connection can be used
// again.
func closeBody(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // the answer is known; only the connection is at stake
	_ = resp.Body.Close()
}
