package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/dashboard"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/migrate"
)

// defaultWait is how long verify --wait waits: a gate and a soak with room.
const defaultWait = 90 * time.Minute

// need says whether a command needs an effect.
type need int

const (
	never    need = iota
	optional      // used when it is configured
	required      // a missing one is an error
)

// needs of a command.
type needs struct {
	images, forge, cluster need
	target                 bool // agent and endpoint have to be configured, and a repository or checkout
	repository             bool // the same, and a checkout will not do
	lone                   bool // no manifests at all
}

// session is one command's migration with what has to be closed behind it.
type session struct {
	migration *migrate.Migration
	forge     bool // pull requests are known
	progress  *progress
	closers   []func() error
}

// done ends the progress display, before data is printed.
func (s *session) done() { s.progress.end() }

func (s *session) close() {
	s.progress.end()
	for _, c := range s.closers {
		_ = c() // closing what was only read
	}
}

// open reads the configuration and constructs what the command needs.
func (e *env) open(c *cli.Context, n needs) (*session, error) {
	file := fileOptional
	if n.target || n.repository {
		file = fileRequired
	}
	cfg, err := e.loadConfig(file)
	if err != nil {
		return nil, err
	}
	if c.Bool("files") {
		cfg.Spec.Image.Preflight = "full"
	}
	dir := ""
	if c.IsSet("dir") && c.String("dir") == "" {
		return nil, usageError("--dir names the folder of a local checkout, for example: --dir .", "flag --dir is empty")
	}
	if c.IsSet("dir") {
		dir = e.path(c.String("dir"))
	}
	if err := n.check(cfg, dir); err != nil {
		return nil, err
	}
	if c.Bool("offline") {
		n.images = never
	}
	s := &session{progress: newProgress(e, e.progress)}
	ports, err := e.ports(cfg, wiring{needs: n, dir: dir, cache: e.cacheDir(c)})
	if err != nil {
		s.close()
		return nil, err
	}
	s.forge = ports.PullRequests != nil
	s.migration = migrate.New(ports, migrate.Options{Config: cfg, Forgiving: !e.configured, DryRun: c.Bool("dry-run"), Events: s.progress.event, Log: e.log})
	return s, nil
}

func (e *env) cacheDir(c *cli.Context) string {
	if c.String("cache-dir") == "" {
		return ""
	}
	return e.path(c.String("cache-dir"))
}

// check reports what the configuration lacks for the command.
func (n needs) check(cfg config.Config, dir string) error {
	if n.repository {
		return cfg.RequireWrite(false)
	}
	if n.target {
		return cfg.RequireWrite(dir != "")
	}
	if n.lone || dir != "" || cfg.Spec.Repository.URL != "" {
		return nil
	}
	return usageError("name a local checkout (--dir .), or set spec.repository.url in "+defaultConfigFile, "there is nothing to read: neither --dir nor spec.repository.url is set")
}

// systemClock is the wall clock.
type systemClock struct{ now func() time.Time }

// Now implements migrate.Clock.
func (c systemClock) Now() time.Time { return c.now() }

// Sleep implements migrate.Clock.
func (c systemClock) Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// print writes text to stdout.
func (e *env) print(text string) error { return e.printf("%s", text) }

// output prints v as JSON, or text.
func (e *env) output(c *cli.Context, v any, text string) error {
	if c.String("output") == "json" {
		return e.printJSON(v)
	}
	return e.print(text)
}

// style is how text for stdout is drawn.
func (e *env) style() dashboard.Style {
	return dashboard.Style{Color: e.Color, Width: e.Width}
}

// page is what pages say of themselves.
func (e *env) page() dashboard.Page {
	info, _ := debug.ReadBuildInfo()
	return dashboard.Page{At: e.Now(), Version: versionOf(info).Version}
}

// printPage writes a page, unless making it failed.
func (e *env) printPage(page string, err error) error {
	if err != nil {
		return err
	}
	return e.print(page)
}

// problems says each failure that did not stop the others, and fails.
func (e *env) problems(ctx context.Context, problems []migrate.Problem) error {
	problems = slices.DeleteFunc(slices.Clone(problems), func(p migrate.Problem) bool {
		return errors.Is(p.Err, fleet.ErrLimited) && e.later(ctx, fmt.Errorf("%s: %w", p.Subject, p.Err)) == nil
	})
	if len(problems) == 0 {
		return nil
	}
	for _, p := range problems {
		e.say(ctx, p.Subject+": "+p.Err.Error())
		for _, h := range hints(e.explain(p.Err)) {
			e.hint(ctx, h)
		}
	}
	what := "1 thing failed"
	if len(problems) > 1 {
		what = fmt.Sprintf("%d things failed", len(problems))
	}
	return withHint(errors.New(what), "everything else went on; the next run tries again")
}

// later lets a pass end well that a limit of requests cut short: it keeps no
// state, so the next run continues. Any other error is explained.
func (e *env) later(ctx context.Context, err error) error {
	if !errors.Is(err, fleet.ErrLimited) {
		return e.explain(err)
	}
	e.log.WarnContext(ctx, "the next run continues", "reason", err)
	return nil
}
