package dashboard

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// chart is how many workloads had come how far, over time: three step lines
// on a drawing 1000 wide and 200 high, and the same numbers by day.
type chart struct {
	From, To                               *moment
	Top                                    int
	Proposed, Merged, Verified             int
	ProposedLine, MergedLine, VerifiedLine string
	VerifiedArea                           string
	Grid                                   []int
	Days                                   []chartDay
}

type chartDay struct {
	Day                        string
	Proposed, Merged, Verified int
}

// step is a change of a count at a time.
type step struct {
	at time.Time
	n  int
}

// chartOf is nil before the first pull request. A batch that was closed
// unmerged counts no more; a workload that was taken back leaves "merged" again.
func chartOf(f fleet.Fleet, now time.Time) *chart {
	from, to := extent(f, now)
	if from.IsZero() || !to.After(from) {
		return nil
	}
	var proposed, merged, verified []step
	for _, b := range f.Batches {
		if b.State == fleet.BatchClosed || b.Opened.IsZero() {
			continue
		}
		proposed = append(proposed, step{b.Opened, len(b.Workloads)})
		if !b.Merged.IsZero() {
			merged = append(merged, step{b.Merged, len(b.Workloads)})
		}
	}
	for _, w := range f.Workloads {
		if w.Since.IsZero() || w.Batch == 0 {
			continue
		}
		switch w.State { //nolint:exhaustive // the others change no line
		case fleet.StateVerified:
			verified = append(verified, step{w.Since, 1})
		case fleet.StateReverted:
			proposed, merged = append(proposed, step{w.Since, -1}), append(merged, step{w.Since, -1})
		}
	}
	c := &chart{From: momentOf(from), To: momentOf(to), Proposed: sum(proposed), Merged: sum(merged), Verified: sum(verified), Grid: []int{0, 50, 100, 150, 200}}
	c.Top = max(1, highest(proposed), highest(merged), highest(verified))
	draw := func(steps []step) string { return stepLine(steps, from, to, c.Top) }
	c.ProposedLine, c.MergedLine, c.VerifiedLine = draw(proposed), draw(merged), draw(verified)
	c.VerifiedArea = c.VerifiedLine + "V200H0Z"
	c.Days = daysOf(proposed, merged, verified)
	return c
}

func sum(steps []step) int {
	n := 0
	for _, s := range steps {
		n += s.n
	}
	return n
}

// highest sorts the steps and returns the most that they come to.
func highest(steps []step) int {
	slices.SortStableFunc(steps, func(a, b step) int { return a.at.Compare(b.at) })
	n, top := 0, 0
	for _, s := range steps {
		n += s.n
		top = max(top, n)
	}
	return top
}

// stepLine is an SVG path of sorted steps.
func stepLine(steps []step, from, to time.Time, top int) string {
	var path strings.Builder
	path.WriteString("M0 200")
	n := 0
	for i, s := range steps {
		n += s.n
		if i+1 < len(steps) && steps[i+1].at.Equal(s.at) {
			continue
		}
		x := 1000 * s.at.Sub(from).Seconds() / to.Sub(from).Seconds()
		fmt.Fprintf(&path, "H%.1fV%.1f", min(max(x, 0), 1000), 200-200*float64(n)/float64(top))
	}
	path.WriteString("H1000")
	return path.String()
}

// daysOf lists the days on which a line moved, with the counts at their end.
func daysOf(proposed, merged, verified []step) []chartDay {
	const layout = "2006-01-02"
	moved := map[string]bool{}
	moves := func(steps []step) map[string]int {
		sums := map[string]int{}
		for _, s := range steps {
			day := s.at.UTC().Format(layout)
			moved[day] = true
			sums[day] += s.n
		}
		return sums
	}
	p, m, v := moves(proposed), moves(merged), moves(verified)
	var days []chartDay
	var last chartDay
	for _, day := range fleet.SortedKeys(moved) {
		last = chartDay{Day: day, Proposed: last.Proposed + p[day], Merged: last.Merged + m[day], Verified: last.Verified + v[day]}
		days = append(days, last)
	}
	return days
}
