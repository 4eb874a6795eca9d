package migrate

import (
	"context"
	"fmt"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/manifest"
	"github.com/otelshift/otelshift/pkg/plan"
)

// Finding is one thing that a change does to a migrated workload.
type Finding = plan.Finding

// CheckResult is what a change of the manifest repository does to migrated
// workloads; "otelshift check -o json".
type CheckResult struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"` // "Check"
	Base       string    `json:"base"` // revision
	Workloads  int       `json:"workloads"`
	Findings   []Finding `json:"findings"`
}

// Failed reports a finding that stops the change.
func (r CheckResult) Failed() bool {
	for _, f := range r.Findings {
		if f.Stops() {
			return true
		}
	}
	return false
}

// Check compares the manifest repository with the revision that a change is
// based on. Without Images references alone decide. A registry that cannot be
// asked is a warning of the images it was to be asked about.
func (m *Migration) Check(ctx context.Context, base fleet.Checkout) (CheckResult, error) {
	result := CheckResult{APIVersion: fleet.APIVersion, Kind: "Check", Base: base.Revision, Findings: []Finding{}}
	w := &world{}
	if err := m.read(ctx, w); err != nil {
		return result, err
	}
	before, err := manifest.Scan(ctx, base.Files, m.scanOptions())
	if err != nil {
		return result, fmt.Errorf("reading manifests of %s: %w", base.Revision, err)
	}
	in := plan.GuardInput{Config: m.opt.Config, Base: before, Head: w.scan}
	if m.ports.Images != nil {
		in.Inspected, in.Failed = map[string]fleet.ImageInfo{}, map[string]error{}
		refs := plan.GuardImages(in)
		infos, errs := make([]fleet.ImageInfo, len(refs)), make([]error, len(refs))
		m.each(ctx, len(refs), func(ctx context.Context, i int) { infos[i], errs[i] = m.ports.Images.Inspect(ctx, refs[i]) })
		if err := ctx.Err(); err != nil {
			return result, err
		}
		for i, ref := range refs {
			if errs[i] != nil {
				in.Failed[ref] = errs[i]
				continue
			}
			in.Inspected[ref] = infos[i]
		}
	}
	result.Workloads = len(w.scan.Workloads) + w.scan.Others
	result.Findings = append(result.Findings, plan.Guard(in)...)
	return result, nil
}
