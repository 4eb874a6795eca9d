package dashboard

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// largeFleet has n workloads in batches of ten, one a day, in two waves and
// with as many owners as a company has teams. The last ones are still to come.
func largeFleet(n int) fleet.Fleet {
	const owners, size = 24, 10
	start := time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)
	f := fleet.Fleet{
		APIVersion: fleet.APIVersion, Kind: "Fleet", Target: fleet.Target{Version: "2.20.0"}, Summary: map[string]int{"total": n},
		Next: "a person reviews and merges pull request #181 (batch 180, 10 workloads)",
	}
	for i := range n {
		w := fleet.WorkloadStatus{
			ID:    fleet.ID{Kind: "Deployment", Namespace: fmt.Sprintf("team-%02d", i%owners), Name: fmt.Sprintf("service-%04d", i)},
			Owner: fmt.Sprintf("@acme/team-%02d", i%owners), Wave: "staging", Grades: map[string]int{"exact": 2 + i%3},
			Image: &fleet.ImageChange{To: fmt.Sprintf("registry.example/team-%02d/service-%04d:1.%d-otel-3f9c2a17", i%owners, i, i%7)},
		}
		if i >= n/2 {
			w.Wave = "prod"
		}
		if i%5 == 0 {
			w.Grades["approximate"] = 1
		}
		if i%17 == 0 {
			w.Grades["collector"], w.Grades["lost"] = 1, i%2
		}
		number := i/size + 1
		merged := start.Add(time.Duration(number) * 22 * time.Hour)
		w.Batch, w.PullRequest, w.Since = number, number+1, merged.Add(70*time.Minute)
		switch {
		case i >= n*19/20 && i%3 == 0:
			w.State, w.Batch, w.Reason = fleet.StateBlocked, 0, &fleet.Reason{Code: fleet.CodeHelmTemplate, Message: "the value is a Helm template"}
		case i >= n*9/10:
			w.State, w.Batch, w.Since, w.PullRequest = fleet.StatePending, 0, time.Time{}, 0
		case i >= n*9/10-size:
			w.State, w.Since = fleet.StateProposed, merged
		case i%97 == 5:
			bad := failed()
			w.State, w.Verdict, w.Revert = fleet.StateReverted, &bad, &fleet.PullRequestLink{Number: 5000 + i, URL: fmt.Sprintf("https://git.example/acme/deployments/pull/%d", 5000+i)}
		default:
			w.State = fleet.StateVerified
		}
		f.Workloads = append(f.Workloads, w)
		f.Summary[string(w.State)]++
		if w.Batch > 0 {
			if len(f.Batches) < w.Batch {
				b := fleet.BatchStatus{
					Number: w.Batch, State: fleet.BatchVerified, Wave: w.Wave, Opened: merged.Add(-5 * time.Hour), Merged: merged,
					PullRequest: fleet.PullRequestLink{Number: w.PullRequest, URL: fmt.Sprintf("https://git.example/acme/deployments/pull/%d", w.PullRequest)},
				}
				if w.State == fleet.StateProposed {
					b.State, b.Merged = fleet.BatchOpen, time.Time{}
				}
				f.Batches = append(f.Batches, b)
			}
			b := &f.Batches[w.Batch-1]
			b.Workloads = append(b.Workloads, w.ID.String())
			if w.Revert != nil {
				b.State, b.Revert = fleet.BatchFailed, w.Revert
			}
		}
		if w.State != fleet.StateVerified {
			f.Remaining = append(f.Remaining, fleet.Remaining{
				Place: fleet.Place{File: fmt.Sprintf("apps/team-%02d/service-%04d.yaml", i%owners, i), Line: 26, Column: 22}, What: w.ID.String() + " loads SkyWalking by env CATALINA_OPTS",
			})
		}
	}
	for i, option := range []string{"-Dskywalking.agent.service_name", "-Dskywalking.collector.backend_service", "-Dskywalking.agent.sample_n_per_3_secs", "-Dskywalking.plugin.jdbc.trace_sql_parameters"} {
		f.Options = append(f.Options, fleet.OptionUse{Option: option, Grade: javaagent.Grades()[i], Workloads: n/10 - i*3, Blocks: i / 3})
	}
	return f
}

// pageTime is later than everything in largeFleet.
func pageTime() time.Time { return time.Date(2026, 6, 30, 12, 0, 0, 0, time.UTC) }

func fleetPageOf(t *testing.T, f fleet.Fleet) string {
	t.Helper()
	page, err := FleetHTML(f, Page{At: pageTime(), Version: "v0.1.0"})
	if err != nil {
		t.Fatal(err)
	}
	return page
}

var inlined = regexp.MustCompile(`(?s)<style>.*</style>|<script>.*</script>`)

func TestGoldenPage(t *testing.T) {
	t.Parallel()
	page := fleetPageOf(t, someFleet())
	page = regexp.MustCompile(`sha256-[^&]*`).ReplaceAllString(page, "sha256-…")
	golden(t, "fleet.html", inlined.ReplaceAllString(page, ""))
	if strings.Contains(page, "hunter2") {
		t.Error("the page shows a secret")
	}
}

func TestPageHoldsTheWholeFleet(t *testing.T) {
	t.Parallel()
	f := largeFleet(2000)
	page := fleetPageOf(t, f)
	for _, w := range f.Workloads {
		if !strings.Contains(page, ">"+w.ID.String()+"<") {
			t.Fatalf("the page does not show %s", w.ID)
		}
	}
	if n := strings.Count(page, "<tr data-state="); n != 2000 {
		t.Errorf("the page has %d rows, want 2000", n)
	}
	if size := len(page); size > 2<<20 {
		t.Errorf("2,000 workloads make a page of %d bytes, want under 2 MiB", size)
	}
}

func TestPageAsksNoNetwork(t *testing.T) {
	t.Parallel()
	page := fleetPageOf(t, someFleet())
	if !strings.Contains(page, `content="default-src &#39;none&#39;; style-src &#39;sha256-`) {
		t.Error("the page has no policy that forbids the network")
	}
	for _, source := range []string{"src=", "<link", "@import", "url(", "fetch(", "<iframe"} {
		if strings.Contains(page, source) {
			t.Errorf("the page may load something: it has %q", source)
		}
	}
}

// TestPageIsWellFormed reads the page as XML with HTML's void elements: every
// element that is opened is closed, in order, and ids are unique.
func TestPageIsWellFormed(t *testing.T) {
	t.Parallel()
	pages := map[string]string{"a plan": planPageOf(t, somePlan()), "an empty plan": planPageOf(t, fleet.Plan{})}
	for name, f := range map[string]fleet.Fleet{"a fleet": someFleet(), "a large fleet": largeFleet(300), "nothing": {}} {
		pages[name] = fleetPageOf(t, f)
	}
	for name, page := range pages {
		t.Run(name, func(t *testing.T) {
			page := inlined.ReplaceAllString(page, "")
			page = regexp.MustCompile(`<(meta|input|col)( [^>]*)?>`).ReplaceAllString(page, "<$1$2/>")
			page = regexp.MustCompile(` (open|hidden|data-sort)([ >])`).ReplaceAllString(page, ` $1=""$2`)
			page = strings.Replace(page, "<!doctype html>", "", 1)
			decoder := xml.NewDecoder(strings.NewReader(page))
			ids := map[string]bool{}
			var links []string
			for {
				token, err := decoder.Token()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatalf("the page is not well-formed: %v", err)
				}
				start, ok := token.(xml.StartElement)
				if !ok {
					continue
				}
				for _, a := range start.Attr {
					switch {
					case a.Name.Local == "id" && ids[a.Value]:
						t.Errorf("id %q occurs twice", a.Value)
					case a.Name.Local == "id":
						ids[a.Value] = true
					case a.Name.Local == "href" && strings.HasPrefix(a.Value, "#"):
						links = append(links, a.Value[1:])
					case a.Name.Local == "aria-labelledby":
						links = append(links, a.Value)
					}
				}
			}
			for _, link := range links {
				if !ids[link] {
					t.Errorf("the page points to #%s, which is not there", link)
				}
			}
		})
	}
}

// TestHostilePageStaysAPage: no text of a manifest or cluster becomes markup,
// a script or a link that runs.
func TestHostilePageStaysAPage(t *testing.T) {
	t.Parallel()
	const bad = `"><script>alert(1)</script><img src=x onerror=alert(1)>{{.}}` + "\x1b[31m\u202e"
	f := someFleet()
	f.Next, f.Paused.Reason = bad, bad
	for i := range f.Workloads {
		w := &f.Workloads[i]
		w.ID.Name, w.Owner, w.Wave = w.ID.Name+bad, bad, bad
		w.Reason = &fleet.Reason{Message: bad}
		if w.Verdict != nil {
			w.Verdict.Evidence = []fleet.Evidence{{Pod: bad, Container: bad, Reason: bad, Log: []string{bad}, Events: []string{bad}}}
		}
	}
	f.Batches[0].PullRequest.URL = "javascript:alert(1)"
	f.Remaining[0].What, f.Remaining[0].File = bad, bad
	f.Options = []fleet.OptionUse{{Option: bad, Grade: "exact", Workloads: 1}}
	page := inlined.ReplaceAllString(fleetPageOf(t, f), "")
	for _, never := range []string{"<script", "<img", "javascript:", "\x1b", "\u202e"} {
		if strings.Contains(page, never) {
			t.Errorf("the page has %q", never)
		}
	}
	if !strings.Contains(page, "&lt;script&gt;alert(1)") {
		t.Error("the hostile text is not shown at all")
	}
}

func TestChartCountsWhatCameHowFar(t *testing.T) {
	t.Parallel()
	f := largeFleet(100)
	c := chartOf(f, pageTime())
	reverted := 0
	verified := 0
	for _, w := range f.Workloads {
		switch w.State { //nolint:exhaustive // the others are not counted
		case fleet.StateReverted:
			reverted++
		case fleet.StateVerified:
			verified++
		}
	}
	if reverted == 0 {
		t.Fatal("the fleet has no reverted workload: the test shows nothing")
	}
	if c.Verified != verified || c.Merged != 80-reverted || c.Proposed != 90-reverted {
		t.Errorf("proposed %d, merged %d, verified %d, want %d, %d, %d", c.Proposed, c.Merged, c.Verified, 90-reverted, 80-reverted, verified)
	}
	last := c.Days[len(c.Days)-1]
	if last.Verified != c.Verified || last.Merged != c.Merged || last.Proposed != c.Proposed {
		t.Errorf("the last day is %+v, want the totals %+v", last, c)
	}
	if chartOf(fleet.Fleet{}, pageTime()) != nil {
		t.Error("a fleet without pull requests has a chart")
	}
}

func TestBarsShowEveryAmount(t *testing.T) {
	t.Parallel()
	bar := barOf([]amount{{"good", 1}, {"bad", 0}, {"waiting", 1_000_000}})
	if len(bar) != 2 || bar[0].Width < 2 || bar[0].X != 0 || bar[1].X != bar[0].Width || bar[1].X+bar[1].Width != 1000 {
		t.Errorf("bar = %+v", bar)
	}
	if barOf(nil) != nil || barOf([]amount{{"good", 0}}) != nil {
		t.Error("nothing makes a bar")
	}
}

func BenchmarkFleetHTML(b *testing.B) {
	f := largeFleet(2000)
	for b.Loop() {
		page, err := FleetHTML(f, Page{At: pageTime()})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(page)), "bytes")
	}
}
