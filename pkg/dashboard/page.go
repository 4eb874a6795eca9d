package dashboard

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// Pages are self-contained: style and script are inside, their hashes are all
// that the page's own policy lets run, and nothing is fetched.
//
//go:embed page
var pageFiles embed.FS

// Page is what a page says of itself.
type Page struct {
	At      time.Time // when it was written; zero: not said
	Version string    // of otelshift
}

// frame is what every page has; a page's own fields stand beside it.
type frame struct {
	Title, Version string
	At             *moment
	Policy         string
	Style          template.CSS
	Script         template.JS
}

// newFrame reads style and script, and allows nothing else.
func newFrame(title string, p Page) (frame, error) {
	style, err := pageFiles.ReadFile("page/page.css")
	if err != nil {
		return frame{}, fmt.Errorf("reading the page's style: %w", err)
	}
	script, err := pageFiles.ReadFile("page/page.js")
	if err != nil {
		return frame{}, fmt.Errorf("reading the page's script: %w", err)
	}
	return frame{
		Title: title, Version: p.Version, At: momentOf(p.At),
		Policy: "default-src 'none'; style-src " + contentHash(style) + "; script-src " + contentHash(script) + "; base-uri 'none'; form-action 'none'",
		Style:  template.CSS(style), //nolint:gosec // our own file
		Script: template.JS(script), //nolint:gosec // our own file
	}, nil
}

func contentHash(content []byte) string {
	sum := sha256.Sum256(content)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// renderPage executes the page's template, which defines "body", inside the
// frame.
func renderPage(name string, data any) (string, error) {
	set, err := template.ParseFS(pageFiles, "page/shell.tmpl", "page/"+name+".tmpl")
	if err != nil {
		return "", fmt.Errorf("reading the page's template: %w", err)
	}
	var text strings.Builder
	if err := set.ExecuteTemplate(&text, "shell", data); err != nil {
		return "", fmt.Errorf("writing the page: %w", err)
	}
	return text.String(), nil
}

// moment is a time for machines and for people.
type moment struct{ Machine, Human string }

// momentOf returns nil for the zero time.
func momentOf(t time.Time) *moment {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &moment{Machine: t.Format(time.RFC3339), Human: t.Format("2006-01-02 15:04 UTC")}
}

// tone is a class of states that a page draws alike; the word beside it says
// which one it is.
type tone string

// The tones.
const (
	toneGood    tone = "good"
	toneMoving  tone = "moving"
	toneMerged  tone = "merged"
	toneBad     tone = "bad"
	toneStuck   tone = "stuck"
	toneWaiting tone = "waiting"
	toneQuiet   tone = "quiet"
)

func tones() []tone {
	return []tone{toneGood, toneMerged, toneMoving, toneBad, toneStuck, toneWaiting, toneQuiet}
}

func toneOf(s fleet.State) tone {
	switch s {
	case fleet.StateVerified, fleet.StateCurrent:
		return toneGood
	case fleet.StateMerged, fleet.StateSoaking:
		return toneMerged
	case fleet.StateProposed:
		return toneMoving
	case fleet.StateFailed, fleet.StateReverting, fleet.StateReverted, fleet.StateNeedsHuman:
		return toneBad
	case fleet.StateBlocked, fleet.StateUnread, fleet.StateDeclined, fleet.StateUnknown, fleet.StateInconclusive, fleet.StateNotCausedByUs:
		return toneStuck
	case fleet.StatePending:
		return toneWaiting
	case fleet.StateSkipped:
	}
	return toneQuiet
}

func batchTone(s fleet.BatchState) tone {
	switch s {
	case fleet.BatchVerified:
		return toneGood
	case fleet.BatchMerged, fleet.BatchSoaking:
		return toneMerged
	case fleet.BatchOpen:
		return toneMoving
	case fleet.BatchFailed, fleet.BatchNeedsHuman:
		return toneBad
	case fleet.BatchUnknown:
		return toneStuck
	case fleet.BatchClosed:
	}
	return toneQuiet
}

// slice is a rectangle of a bar that is 1000 wide.
type slice struct {
	Tone     string
	X, Width int
}

// amount is a share of a bar.
type amount struct {
	tone string
	n    int
}

// barOf fills a bar with the amounts, in their order. What there is at all
// stays visible.
func barOf(amounts []amount) []slice {
	total := 0
	amounts = slices.DeleteFunc(slices.Clone(amounts), func(a amount) bool { return a.n == 0 })
	for _, a := range amounts {
		total += a.n
	}
	var bar []slice
	x := 0
	for i, a := range amounts {
		width := max(int(math.Round(float64(a.n)*1000/float64(total))), 2)
		if i == len(amounts)-1 {
			width = max(1000-x, 2)
		}
		bar = append(bar, slice{Tone: a.tone, X: x, Width: width})
		x += width
	}
	return bar
}
