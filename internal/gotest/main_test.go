package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const events = `{"Action":"output","Package":"m/pkg/a","Test":"TestGood","Output":"=== RUN   TestGood\n"}
{"Action":"output","Package":"m/pkg/a","Test":"TestGood","Output":"noise\n"}
{"Action":"pass","Package":"m/pkg/a","Test":"TestGood"}
{"Action":"output","Package":"m/pkg/a","Test":"TestTool","Output":"=== RUN   TestTool\n"}
{"Action":"output","Package":"m/pkg/a","Test":"TestTool","Output":"    a_test.go:1: needs git\n"}
{"Action":"output","Package":"m/pkg/a","Test":"TestTool","Output":"--- SKIP: TestTool (0.00s)\n"}
{"Action":"skip","Package":"m/pkg/a","Test":"TestTool"}
{"Action":"skip","Package":"m/pkg/a","Test":"TestCorpus/row/deep"}
{"Action":"output","Package":"m/pkg/a","Output":"ok  \tm/pkg/a\t0.1s\n"}
{"Action":"pass","Package":"m/pkg/a"}
{"Action":"skip","Package":"m/pkg/none"}
{"Action":"output","Package":"m/pkg/b","Test":"TestBad","Output":"    b_test.go:9: got 1, want 2\n"}
{"Action":"fail","Package":"m/pkg/b","Test":"TestBad"}
{"Action":"output","Package":"m/pkg/b","Output":"FAIL\tm/pkg/b\t0.1s\n"}
{"Action":"fail","Package":"m/pkg/b"}
go: words of the go tool itself
`

func TestReport(t *testing.T) {
	allowed, err := readRules(strings.NewReader("# comment\n\npkg/* TestCorpus the corpus is not part of the repository\n"))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	r := report{out: &out, module: "m/", allowed: allowed, tests: map[string][]string{}}
	if err := r.read(strings.NewReader(events)); err != nil {
		t.Fatal(err)
	}
	want := "ok  \tm/pkg/a\t0.1s\n    b_test.go:9: got 1, want 2\nFAIL\tm/pkg/b\t0.1s\ngo: words of the go tool itself\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("output differs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"pkg/a TestTool: a_test.go:1: needs git"}, r.refused); diff != "" {
		t.Errorf("refused skips differ (-want +got):\n%s", diff)
	}
	if r.passed != 1 || r.skipped != 1 {
		t.Errorf("passed %d, skipped %d, want 1 and 1", r.passed, r.skipped)
	}
}

func TestReadRulesRefusesLinesWithoutReason(t *testing.T) {
	if rules, err := readRules(strings.NewReader("pkg/a TestTool\n")); err == nil {
		t.Errorf("readRules = %v, want an error", rules)
	}
}
