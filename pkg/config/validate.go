package config

import (
	"bytes"
	"fmt"
	"io"
	"net/url"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// violation is a value out of its range.
type violation struct {
	path string // "spec.batch.size"
	text string
	hint string
}

func (v violation) message() string { return v.path + ": " + v.text }

// Validate checks a configuration that did not come from Decode. It returns
// an *InvalidError whose problems have no place.
func (c Config) Validate() error {
	return invalid(violations(c))
}

// RequireWrite checks what only writing needs: a repository (or dir, a local
// checkout), an agent and an endpoint. It returns an *InvalidError.
func (c Config) RequireWrite(dir bool) error {
	var found []violation
	if c.Spec.Repository.URL == "" && !dir {
		found = append(found, violation{"spec.repository.url", "is not set", "name the manifest repository there, or give --dir"})
	}
	if c.Spec.Agent.Version == "" || c.Spec.Agent.Source == (Source{}) {
		found = append(found, violation{"spec.agent", "version and source are needed", ""})
	}
	if c.Spec.Options.Endpoint == "" {
		found = append(found, violation{
			"spec.options.endpoint", "is not set",
			"name the collector that the agents send to, for example http://otel-collector.observability:4318",
		})
	}
	return invalid(found)
}

func invalid(found []violation) error {
	if len(found) == 0 {
		return nil
	}
	var problems []Problem
	for _, v := range found {
		problems = append(problems, Problem{Place: fleet.Place{}, Message: v.message(), Hint: v.hint})
	}
	return &InvalidError{Problems: problems}
}

// violations finds every value out of its range: first what the types' tags
// say, then what holds between values.
func violations(c Config) []violation {
	v := checker{}
	v.tags(reflect.ValueOf(c), "")
	v.repository(c.Spec.Repository)
	v.selector(c.Spec.Workloads.Selector)
	v.agent(c.Spec.Agent)
	v.options(c.Spec.Options)
	v.image(c.Spec.Image)
	v.batch(c.Spec.Batch)
	v.pullRequest(c.Spec)
	v.verify(c.Spec.Verify)
	return v.found
}

type checker struct{ found []violation }

func (v *checker) fail(path, hint, format string, args ...any) {
	v.found = append(v.found, violation{path, fmt.Sprintf(format, args...), hint})
}

// tags applies the enum, min and check tags of every field.
func (v *checker) tags(value reflect.Value, path string) {
	switch value.Kind() { //nolint:exhaustive // the kinds that configuration has
	case reflect.Pointer:
		if !value.IsNil() {
			v.tags(value.Elem(), path)
		}
	case reflect.Slice:
		for i := range value.Len() {
			v.tags(value.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	case reflect.Struct:
		for _, f := range fieldsOf(value.Type()) {
			at, inner := join(path, f.name), value.Field(f.index)
			v.field(f, inner, at)
			v.tags(inner, at)
		}
	default:
	}
}

func (v *checker) field(f field, value reflect.Value, path string) {
	if f.min != "" {
		least, err := strconv.Atoi(f.min)
		if err != nil {
			panic(fmt.Sprintf("config: tag min of %s: %v", path, err))
		}
		if value.Int() < int64(least) {
			v.fail(path, "", "%d is less than %d", value.Int(), least)
		}
	}
	v.each(value, path, func(at, text string) {
		if strings.ContainsFunc(text, fleet.BreaksLine) && f.check != "lines" {
			v.fail(at, "", "%q holds a line break or another control character", text)
			return
		}
		if f.enum != nil && !slices.Contains(f.enum, text) {
			hint := ""
			if near := Nearest(text, f.enum); near != "" {
				hint = fmt.Sprintf("did you mean %s?", near)
			}
			v.fail(at, hint, "%q is not one of %s", text, strings.Join(f.enum, ", "))
		}
		if f.check == "glob" && !doublestar.ValidatePattern(text) {
			v.fail(at, "", "%q is not a glob: a bracket or brace is not closed, or a backslash ends it", text)
		}
	})
}

// each visits the text of a string or of a list of strings.
func (v *checker) each(value reflect.Value, path string, visit func(at, text string)) {
	switch {
	case value.Kind() == reflect.String:
		visit(path, value.String())
	case value.Kind() == reflect.Slice && value.Type().Elem().Kind() == reflect.String:
		for i := range value.Len() {
			visit(fmt.Sprintf("%s[%d]", path, i), value.Index(i).String())
		}
	}
}

// badBranch is what git refuses in a branch; git-check-ref-format(1).
var badBranch = regexp.MustCompile(`^[-/]|[/.]$|\.lock$|\.lock/|\.\.|//|/\.|^\.|@\{|^@$|[ ~^:?*\[\\]`)

func (v *checker) repository(r Repository) {
	if u, err := url.Parse(r.URL); err == nil && u.User != nil {
		if _, secret := u.User.Password(); secret || u.Scheme == "https" || u.Scheme == "http" {
			v.fail("spec.repository.url", "put the token into the environment variable GITHUB_TOKEN", "holds credentials")
		}
	}
	if scheme, _, ok := strings.Cut(r.URL, "://"); ok && !slices.Contains([]string{"https", "http", "ssh", "git", "file"}, scheme) {
		v.fail("spec.repository.url", "spec.repository.url is https://host/owner/repo.git, ssh://git@host/owner/repo.git or git@host:owner/repo.git", "%q is no address that git takes", r.URL)
	}
	switch {
	case r.Branch == "":
		v.fail("spec.repository.branch", "", "is empty")
	case strings.HasPrefix(r.Branch, "refs/"):
		v.fail("spec.repository.branch", fmt.Sprintf("write %s", strings.TrimPrefix(r.Branch, "refs/heads/")), "%q is a ref's full name, not a branch's", r.Branch)
	case badBranch.MatchString(r.Branch):
		v.fail("spec.repository.branch", "", "%q is not the name of a branch", r.Branch)
	}
	if r.MaxFileSize == 0 {
		v.fail("spec.repository.maxFileSize", "", "0 would leave out every file")
	}
}

func (v *checker) selector(s Selector) {
	for i, r := range s.MatchExpressions {
		at := fmt.Sprintf("spec.workloads.selector.matchExpressions[%d]", i)
		if r.Key == "" {
			v.fail(at, "", "key is missing")
		}
		needs := r.Operator == "In" || r.Operator == "NotIn"
		if needs && len(r.Values) == 0 {
			v.fail(at, "", "operator %s needs values", r.Operator)
		}
		if !needs && len(r.Values) > 0 {
			v.fail(at, "", "operator %s takes no values", r.Operator)
		}
	}
}

func (v *checker) absolute(at, name string) {
	if !path.IsAbs(name) || path.Clean(name) != name || name == "/" {
		v.fail(at, "", "%q is not an absolute path below /", name)
	}
}

var sha256Hex = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (v *checker) source(at string, s Source) {
	set := 0
	for _, kind := range []string{s.Image, s.File, s.Archive, s.URL} {
		if kind != "" {
			set++
		}
	}
	if set != 1 {
		v.fail(at, "", "want exactly one of image, file, archive and url")
	}
	if s.Path != "" && s.Image == "" {
		v.fail(at+".path", "", "belongs to image")
	} else if s.Path != "" {
		v.absolute(at+".path", s.Path)
	}
	if s.StripPrefix != "" && s.Archive == "" {
		v.fail(at+".stripPrefix", "", "belongs to archive")
	}
	if s.URL != "" && !sha256Hex.MatchString(s.SHA256) {
		v.fail(at+".sha256", "a download without a checksum is not reproducible", "want the 64 hexadecimal digits of what %s serves", s.URL)
	}
	if s.SHA256 != "" && s.URL == "" {
		v.fail(at+".sha256", "", "belongs to url")
	}
}

// versionForm is what an image's tag may be: the version stands in one.
var versionForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$`)

func (v *checker) agent(a Agent) {
	switch {
	case a.Version == "":
		v.fail("spec.agent.version", "", "is empty")
	case !versionForm.MatchString(a.Version):
		v.fail("spec.agent.version", "", "%q is not a version", a.Version)
	}
	v.source("spec.agent.source", a.Source)
	for i, s := range a.Extensions {
		v.source(fmt.Sprintf("spec.agent.extensions[%d]", i), s)
	}
	v.absolute("spec.agent.directory", a.Directory)
	if s := a.StartScript; s != nil {
		if s.File == "" {
			v.fail("spec.agent.startScript", "", "file is missing")
		}
		v.absolute("spec.agent.startScript.path", s.Path)
	}
}

func (v *checker) options(o Options) {
	if o.Endpoint != "" {
		u, err := url.Parse(o.Endpoint)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			v.fail("spec.options.endpoint", "", "%q is not an http or https URL", o.Endpoint)
		} else if u.User != nil {
			v.fail("spec.options.endpoint", "every manifest would show them: pass them as OTEL_EXPORTER_OTLP_HEADERS from a Secret", "holds credentials")
		}
	}
	for i, option := range o.Add {
		v.option(fmt.Sprintf("spec.options.add[%d]", i), option)
	}
	for i, entry := range o.AllowLost {
		v.lostOption(fmt.Sprintf("spec.options.allowLost[%d]", i), entry)
	}
	for i, override := range o.Overrides {
		at := fmt.Sprintf("spec.options.overrides[%d]", i)
		if override.Match.Namespace == "" && override.Match.Name == "" && len(override.Match.Labels) == 0 {
			v.fail(at+".match", "what holds for every workload belongs in spec.options itself", "matches everything")
		}
		for j, option := range override.Add {
			v.option(fmt.Sprintf("%s.add[%d]", at, j), option)
		}
	}
}

// lostOption refuses what names no option of SkyWalking's: a slip there would
// leave workloads blocked without a word.
func (v *checker) lostOption(at, entry string) {
	if javaagent.NamesOption(entry) {
		return
	}
	hint := "docs/mapping.md lists them; one that is not there is written out: -Dskywalking.KEY"
	if near := Nearest(strings.TrimPrefix(strings.TrimPrefix(entry, "-D"), "skywalking."), javaagent.OptionNames()); near != "" {
		hint = fmt.Sprintf("did you mean %s?", near)
	}
	v.fail(at, hint, "%q is no option of SkyWalking's Java agent, and no pattern of any", entry)
}

// option checks one that every workload gets, or those of an override.
func (v *checker) option(at, option string) {
	if !strings.HasPrefix(option, "-") {
		v.fail(at, "", "%q is not a JVM option: it has to begin with a dash", option)
	}
	v.optionTemplate(at, option)
}

// optionTemplate tries a template on a workload that has everything: fields as
// javaagent.Workload has them, any label.
func (v *checker) optionTemplate(at, option string) {
	functions := template.FuncMap{
		"label": func(string, ...string) string { return "x" },
		"index": func(map[string]string, string) string { return "x" },
	}
	parsed, err := template.New("option").Funcs(functions).Parse(option)
	if err == nil {
		err = parsed.Execute(io.Discard, struct {
			Name, Namespace, Label, ImageTag string
			Labels                           map[string]string
		}{"x", "x", "x", "1.4", map[string]string{}})
	}
	if err != nil {
		why, _, _ := strings.Cut(err.Error(), " in type ") // our own struct's
		v.fail(at, `the fields are {{.Name}}, {{.Namespace}}, {{.Label}} and {{.ImageTag}}, and {{label "team"}} is a label's value`, "%q is not a template: %s", option, why)
	}
}

var tagForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)

func (v *checker) image(i Image) {
	const at, hash = "spec.image.tag", "0123456789ab"
	parsed, err := template.New("tag").Option("missingkey=error").Parse(i.Tag)
	var tag bytes.Buffer
	if err == nil {
		err = parsed.Execute(&tag, struct{ Tag, Hash string }{"1.4", hash})
	}
	switch {
	case err != nil:
		v.fail(at, "the fields are {{.Tag}} and {{.Hash}}", "%q is not a template: %v", i.Tag, err)
	case !strings.Contains(tag.String(), hash[:8]):
		v.fail(at, "without it two different images would share a tag", "%q does not contain {{.Hash}}", i.Tag)
	case !tagForm.MatchString(tag.String()):
		v.fail(at, "", "%q does not make a tag: %q", i.Tag, tag.String())
	}
	for n, dir := range i.Remove.Paths {
		v.absolute(fmt.Sprintf("spec.image.remove[%d]", n), dir)
	}
}

func (v *checker) batch(b Batch) {
	if b.MaxSize < b.Size {
		v.fail("spec.batch.maxSize", "", "%d is less than size, %d", b.MaxSize, b.Size)
	}
	if b.First > b.MaxSize {
		v.fail("spec.batch.first", "", "%d is more than maxSize, %d", b.First, b.MaxSize)
	}
	seen := map[string]bool{}
	for i, w := range b.Waves {
		at := fmt.Sprintf("spec.batch.waves[%d]", i)
		switch {
		case w.Name == "":
			v.fail(at, "", "name is missing")
		case strings.Contains(w.Name, "/"), strings.TrimSpace(w.Name) != w.Name:
			v.fail(at+".name", "it becomes a part of names between slashes: prod-eu, not prod/eu", "%q holds a slash, or begins or ends with a blank", w.Name)
		}
		if seen[w.Name] {
			v.fail(at+".name", "", "a second wave %q", w.Name)
		}
		seen[w.Name] = true
		if len(w.Include) == 0 {
			v.fail(at, "", "include is missing: the wave would be empty")
		}
	}
}

var branchForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]*$`)

// maxLabel is how long a label may be on GitHub, in characters.
const maxLabel = 50

func (v *checker) pullRequest(s Spec) {
	prefix := s.PullRequest.BranchPrefix
	if !branchForm.MatchString(prefix) || strings.Contains(prefix, "..") || strings.Contains(prefix, "//") ||
		strings.Contains(prefix, "/.") || strings.Contains(prefix, ".lock/") {
		v.fail("spec.pullRequest.branchPrefix", "", "%q is not the start of a branch name", prefix)
	}
	if strings.HasPrefix(s.Repository.Branch, prefix) && prefix != "" {
		v.fail("spec.pullRequest.branchPrefix", "", "%q is also the start of spec.repository.branch", prefix)
	}
	for i, label := range s.PullRequest.Labels {
		if n := utf8.RuneCountInString(strings.TrimSpace(label)); n < 1 || n > maxLabel {
			v.fail(fmt.Sprintf("spec.pullRequest.labels[%d]", i), "", "has %d characters, GitHub takes 1 to %d", n, maxLabel)
		}
	}
	v.identity("spec.commit.name", s.Commit.Name)
	v.identity("spec.commit.email", s.Commit.Email)
}

func (v *checker) identity(at, text string) {
	if text == "" || strings.ContainsAny(text, "<>") {
		v.fail(at, "", "%q is not fit for a commit", text)
	}
}

func (v *checker) verify(s Verify) {
	if s.Soak < s.Gate {
		v.fail("spec.verify.soak", "", "%s is less than gate, %s", s.Soak, s.Gate)
	}
	if s.Interval == 0 {
		v.fail("spec.verify.interval", "", "is 0")
	}
	seen := map[string]bool{}
	for i, c := range s.Clusters {
		at := fmt.Sprintf("spec.verify.clusters[%d]", i)
		if c.Name == "" {
			v.fail(at, "", "name is missing")
		}
		if seen[c.Name] {
			v.fail(at+".name", "", "a second cluster %q", c.Name)
		}
		seen[c.Name] = true
	}
	if p := s.Telemetry.Prometheus; p != nil {
		u, err := url.Parse(p.URL)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			v.fail("spec.verify.telemetry.prometheus.url", "", "%q is not an http or https URL", p.URL)
		} else if u.User != nil {
			v.fail("spec.verify.telemetry.prometheus.url", "", "holds credentials")
		}
		if p.Query == "" {
			v.fail("spec.verify.telemetry.prometheus.query", "", "is empty")
		}
	} else if s.Telemetry.Require {
		v.fail("spec.verify.telemetry.require", "", "needs prometheus")
	}
}
