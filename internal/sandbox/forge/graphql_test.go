//go:build e2e

package forge_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"

	"github.com/otelshift/otelshift/internal/sandbox/forge"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/gitops/pullrequest"
)

// schema is GitHub's GraphQL schema: the file that OTELSHIFT_GITHUB_GRAPHQL
// names, else from npm.
func schema(t *testing.T) *ast.Schema {
	t.Helper()
	file := os.Getenv("OTELSHIFT_GITHUB_GRAPHQL")
	if file == "" {
		dir := t.TempDir()
		for _, args := range [][]string{
			{"npm", "pack", "--silent", "@octokit/graphql-schema@15.26.1"},
			{"tar", "-xzf", "octokit-graphql-schema-15.26.1.tgz", "package/schema.graphql"},
		} {
			cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Skipf("needs npm and its registry, or OTELSHIFT_GITHUB_GRAPHQL: %v: %s", err, out)
			}
		}
		file = filepath.Join(dir, "package/schema.graphql")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := parser.ParseSchemas(validator.Prelude, &ast.Source{Name: "GitHub", Input: string(text)})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range doc.Definitions { // the published schema repeats a field
		seen := map[string]bool{}
		d.Fields = slices.DeleteFunc(d.Fields, func(f *ast.FieldDefinition) bool {
			again := seen[f.Name]
			seen[f.Name] = true
			return again
		})
	}
	s, err := validator.ValidateSchemaDocument(doc)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestGraphQL checks our client's queries, and what the forge answers to them,
// against GitHub's schema.
func TestGraphQL(t *testing.T) {
	s := schema(t)
	asked := map[string]bool{}
	f := start(t, func(o *forge.Options) {
		o.AllowAutoMerge = true
		o.Middleware = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/api/graphql" {
					next.ServeHTTP(w, r)
					return
				}
				raw, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				r.Body = io.NopCloser(bytes.NewReader(raw))
				recorded := httptest.NewRecorder()
				next.ServeHTTP(recorded, r)
				for _, root := range conforms(t, s, raw, recorded.Body.Bytes()) {
					asked[root] = true
				}
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write(recorded.Body.Bytes())
			})
		}
	})
	branch(t, f, "otelshift/1", "README.md", "x\n")
	branch(t, f, "otelshift/2", "b.yaml", "x\n")
	ctx, now := t.Context(), time.Date(2025, 5, 1, 9, 0, 0, 0, time.UTC)
	c, err := pullrequest.New(pullrequest.Options{
		Repository: f.CloneURL(), Base: "main", BranchPrefix: "otelshift/", Token: "bot-token", Now: func() time.Time { return now },
		Sleep: func(context.Context, time.Duration) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"otelshift/1", "otelshift/2"} {
		if _, err := c.Open(ctx, fleet.PullRequestSpec{Branch: name, Title: name, Body: "b", Labels: []string{"otelshift", fleet.LabelBatch}, AutoMerge: true}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Label(ctx, 2, []string{fleet.LabelFailed}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Merge(ctx, 2, forge.Squash, "ada"); err != nil {
		t.Fatal(err)
	}
	// Everything is older than tomorrow: an open one and one that is merged.
	if found, err := c.List(ctx, time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)); err != nil || len(found.PullRequests) != 2 {
		t.Fatalf("List = %+v, %v", found, err)
	}
	issue, err := c.UpsertIssue(ctx, "otelshift", func(string) string { return "one" })
	if err != nil {
		t.Fatal(err)
	}
	if err := f.EditBody(issue.Number, "ada", "two"); err != nil {
		t.Fatal(err)
	}
	if edits, err := c.IssueEdits(ctx, issue.Number); err != nil || len(edits) == 0 {
		t.Fatalf("IssueEdits = %+v, %v", edits, err)
	}
	if _, err := c.IssueEdits(ctx, 99); err == nil {
		t.Error("an issue that is not there has edits")
	}
	// REST does not say whose token a workflow's is.
	f.Inject(func(q forge.Request) (forge.Answer, bool) {
		return forge.Answer{Status: 403, Body: `{"message":"Resource not accessible by integration"}`}, q.Operation == "users/get-authenticated"
	})
	other, err := pullrequest.New(pullrequest.Options{
		Repository: f.CloneURL(), Base: "main", Token: "bot-token", Now: func() time.Time { return now },
		Sleep: func(context.Context, time.Duration) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Identity(ctx); err != nil {
		t.Error(err)
	}
	for _, root := range []string{"viewer", "repository", "enablePullRequestAutoMerge"} {
		if !asked[root] {
			t.Errorf("%s was not asked for: the test has lost a query", root)
		}
	}
}

// conforms checks one exchange and returns the root fields that were asked for.
func conforms(t *testing.T, s *ast.Schema, request, response []byte) (roots []string) {
	t.Helper()
	var q struct {
		Query     string
		Variables map[string]any
	}
	if err := json.Unmarshal(request, &q); err != nil {
		t.Error(err)
		return nil
	}
	doc, errs := gqlparser.LoadQueryWithRules(s, q.Query, nil)
	if len(errs) > 0 {
		t.Errorf("GitHub would refuse the query: %v\n%s", errs, q.Query)
		return nil
	}
	operation := doc.Operations[0]
	if _, err := validator.VariableValues(s, operation, q.Variables); err != nil {
		t.Errorf("GitHub would refuse the variables %v: %v", q.Variables, err)
	}
	var answer struct {
		Data   map[string]any
		Errors []struct {
			Message string
			Type    string
		}
	}
	if err := json.Unmarshal(response, &answer); err != nil {
		t.Errorf("the answer is no JSON: %v: %s", err, response)
		return nil
	}
	for _, e := range answer.Errors {
		if e.Message == "" || e.Type == "" {
			t.Errorf("an error without type or message: %s", response)
		}
	}
	for _, selection := range operation.SelectionSet {
		if field, ok := selection.(*ast.Field); ok {
			roots = append(roots, field.Name)
		}
	}
	if len(answer.Errors) == 0 {
		object(t, s, "data", operation.SelectionSet, answer.Data)
	}
	return roots
}

// object holds an object of the answer against what was selected: every field
// is there, of its type, and no other.
func object(t *testing.T, s *ast.Schema, at string, set ast.SelectionSet, value map[string]any) {
	t.Helper()
	wanted := map[string]bool{}
	var visit func(ast.SelectionSet)
	visit = func(set ast.SelectionSet) {
		for _, selection := range set {
			switch x := selection.(type) {
			case *ast.Field:
				wanted[x.Alias] = true
				got, there := value[x.Alias]
				if !there {
					t.Errorf("%s.%s is missing", at, x.Alias)
					continue
				}
				typed(t, s, at+"."+x.Alias, x.Definition.Type, x.SelectionSet, got)
			case *ast.FragmentSpread:
				visit(x.Definition.SelectionSet)
			case *ast.InlineFragment:
				visit(x.SelectionSet)
			}
		}
	}
	visit(set)
	for name := range value {
		if !wanted[name] {
			t.Errorf("%s.%s was not asked for", at, name)
		}
	}
}

func typed(t *testing.T, s *ast.Schema, at string, want *ast.Type, set ast.SelectionSet, value any) {
	t.Helper()
	if value == nil {
		if want.NonNull {
			t.Errorf("%s is null, and GitHub's %s never is", at, want)
		}
		return
	}
	if want.Elem != nil {
		list, ok := value.([]any)
		if !ok {
			t.Errorf("%s is %T, want a list", at, value)
		}
		for i, v := range list {
			typed(t, s, fmt.Sprintf("%s[%d]", at, i), want.Elem, set, v)
		}
		return
	}
	definition := s.Types[want.NamedType]
	text, isText := value.(string)
	good := isText
	switch {
	case definition.Kind == ast.Enum:
		good = isText && definition.EnumValues.ForName(text) != nil
	case definition.Kind != ast.Scalar:
		fields, ok := value.(map[string]any)
		if good = ok; ok {
			object(t, s, at, set, fields)
		}
	case want.NamedType == "Int":
		number, ok := value.(float64)
		good = ok && number == float64(int(number))
	case want.NamedType == "Boolean":
		_, good = value.(bool)
	case want.NamedType == "DateTime":
		_, err := time.Parse(time.RFC3339, text)
		good = err == nil
	case want.NamedType == "GitObjectID":
		good = len(text) == 40
	case want.NamedType == "URI":
		good = strings.Contains(text, "://")
	}
	if !good {
		t.Errorf("%s is %v, want GitHub's %s", at, value, want)
	}
}
