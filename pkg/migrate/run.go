package migrate

import (
	"context"
	"errors"
)

// RunResult is what one reconciliation pass did.
type RunResult struct {
	Verify  VerifyResult  `json:"verify"`
	Propose ProposeResult `json:"propose"`
}

// Run is one reconciliation pass: verify, then propose. A failed verification
// proposes nothing: without knowing how the last batch does, no next one.
func (m *Migration) Run(ctx context.Context) (RunResult, error) {
	var result RunResult
	w, err := m.look(ctx)
	if err != nil {
		return result, err
	}
	result.Verify, err = m.verify(ctx, w, Wait{})
	if err != nil {
		return result, err
	}
	result.Propose, err = m.propose(ctx, w)
	if err == nil {
		result.Propose.Problems = append(result.Propose.Problems, m.show(ctx, w, result.Propose.Plan)...)
	}
	return result, err
}

// Problems are the failures of a pass that did not stop it.
func (r RunResult) Problems() []Problem {
	return append(append([]Problem(nil), r.Verify.Problems...), r.Propose.Problems...)
}

// Join makes one error of problems; nil without any.
func Join(problems []Problem) error {
	errs := make([]error, 0, len(problems))
	for _, p := range problems {
		errs = append(errs, p.Err)
	}
	return errors.Join(errs...)
}

// Finished reports that nothing is under way, nothing waits and nothing is
// left to propose.
func (r RunResult) Finished() bool {
	return r.Verify.Unsettled == 0 && !r.Verify.Failing && r.Propose.Hold == nil &&
		len(r.Verify.Reverts)+len(r.Propose.Proposed)+len(r.Propose.Plan.Batches) == 0
}

// Acted reports that the pass wrote something before it failed.
func (r RunResult) Acted() bool { return r.Verify.Acted() || len(r.Propose.Proposed) > 0 }

// Acted reports that verifying wrote something before it failed.
func (r VerifyResult) Acted() bool { return len(r.Judged)+len(r.Reverts)+len(r.Answers) > 0 }
