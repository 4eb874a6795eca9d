package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	fleetexample "github.com/otelshift/otelshift/examples/fleet"
	"github.com/otelshift/otelshift/internal/sandbox"
	"github.com/otelshift/otelshift/internal/sandbox/forge"
	"github.com/otelshift/otelshift/pkg/dashboard"
	"github.com/otelshift/otelshift/pkg/migrate"
)

// What is special about the demo's fleet; examples/fleet holds the rest.
const (
	demoCurrent = "review" // at the target already
	demoDies    = "refund" // dies with the new agent
	demoPasses  = 90
)

func demoCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:  "demo",
		Usage: "The whole journey on an embedded forge, registry and cluster, offline.",
		Description: `A manifest repository with 24 workloads is migrated: pull requests are opened and merged, rollouts
are judged, and what fails is taken back. Only the clocks are shorter than in production. It needs git.

With --start the journey is yours: the world is there, and you run, review and merge in it.

Examples:
  otelshift demo
  otelshift demo --start --dir world`,
		Flags: []cli.Flag{
			outputFlag("text", "json"),
			&cli.BoolFlag{Name: "keep", Usage: "leave the world running, and say how other commands can act in it"},
			&cli.BoolFlag{Name: "start", Usage: "only start the world, and say how to go the journey yourself"},
			&cli.StringFlag{Name: "dir", Usage: "keep the world's files in `DIR` (default a temporary folder that is removed)"},
		},
		Action: func(c *cli.Context) error {
			err := e.demo(c)
			if err != nil && c.Context.Err() == nil && len(hints(err)) == 0 {
				return withHint(err, "the demo is the product with short clocks: this is a defect; please report it with the lines above")
			}
			return err
		},
	}
}

// demo tells the story. Text goes to stdout as it happens; with -o json only
// the Fleet object does.
type demo struct {
	*env
	world *sandbox.World
	tell  func(format string, args ...any)
	told  map[string]string // workload -> verdict: each is told once
}

func (e *env) demo(c *cli.Context) (err error) {
	dir, remove, err := e.demoDir(c.String("dir"))
	if err != nil {
		return err
	}
	defer remove()
	d := &demo{env: e, tell: func(string, ...any) {}, told: map[string]string{}}
	if c.String("output") == "text" {
		d.tell = func(format string, args ...any) { _ = e.printf(format+"\n", args...) } // the end is printed with its error
	}
	ctx := c.Context
	d.tell("Starting a registry, a forge and a cluster on this machine …")
	d.world, err = sandbox.Start(ctx, sandbox.Options{
		Dir: dir, Files: fleetexample.Files, Dies: demoDies, Now: e.Now, Tick: 100 * time.Millisecond, SyncEvery: 500 * time.Millisecond, Log: e.log,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.world.Close()) }()
	if err := d.migrateOne(ctx); err != nil {
		return err
	}
	if err := d.world.Open(ctx); err != nil {
		return err
	}
	d.tell("  forge     %s\n  registry  %s\n  cluster   %s", d.world.Forge.URL(), d.world.Registry.Host(), d.world.Cluster.URL())
	if c.Bool("start") {
		return d.keep(ctx, d.ownJourney())
	}
	if err := d.journey(ctx); err != nil {
		return err
	}
	if err := d.finish(ctx, c.String("output")); err != nil {
		return err
	}
	if c.Bool("keep") {
		return d.keep(ctx, fmt.Sprintf("  %s status\n", d.command()))
	}
	return nil
}

// demoDir is where the world lives.
func (e *env) demoDir(name string) (dir string, remove func(), err error) {
	if name != "" {
		dir = e.path(name)
		if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
			return "", nil, usageError("name a folder that is empty or absent", "flag --dir: %s is not empty", name)
		}
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return "", nil, withHint(fmt.Errorf("making %s: %w", name, err), "--dir names a folder that is there, or can be made")
		}
		return dir, func() {}, nil
	}
	dir, err = os.MkdirTemp("", "otelshift-demo-")
	if err != nil {
		return "", nil, withHint(fmt.Errorf("making a folder: %w", err), "TMPDIR names the folder for temporary files, --dir one that is kept")
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil
}

// inside is the process as otelshift sees it in the world: its configuration,
// its secrets, its cluster.
func (d *demo) inside(ctx context.Context) *env {
	variables := d.world.Environment()
	inner := *d.env
	inner.configFile, inner.progress = d.world.ConfigFile(), false
	if !inner.log.Enabled(ctx, slog.LevelDebug) {
		inner.log = slog.New(newLogHandler(inner.Stderr, inner.logFormat, slog.LevelWarn)) // the story tells the rest
	}
	inner.Getenv = func(name string) string {
		if value, ok := variables[name]; ok {
			return value
		}
		if strings.HasPrefix(name, "GITHUB_") || name == "KUBECONFIG" {
			return "" // the world has no outside
		}
		return d.env.Getenv(name)
	}
	return &inner
}

// session opens a session in the world that tells what it does.
func (d *demo) session(ctx context.Context, n needs, checkout string) (*session, error) {
	inner := d.inside(ctx)
	cfg, err := inner.loadConfig(fileRequired)
	if err != nil {
		return nil, err
	}
	s := &session{progress: newProgress(inner, false)}
	s.progress.watch = d.watch
	ports, err := inner.ports(cfg, wiring{needs: n, dir: checkout})
	if err != nil {
		s.close()
		return nil, err
	}
	s.migration = migrate.New(ports, migrate.Options{Config: cfg, Events: s.progress.event, Log: inner.log})
	return s, nil
}

// watch tells the stages as they happen.
func (d *demo) watch(ev migrate.Event) {
	switch ev.Stage {
	case migrate.StageBuild:
		d.tell("  image     %s (%s)", ev.Subject, ev.Message)
	case migrate.StagePropose, migrate.StageRevert:
		d.tell("  pull      %s: %s", ev.Message, ev.Subject)
	case migrate.StageVerify:
		if ev.Subject != "" {
			if d.told[ev.Subject] != ev.Message {
				d.tell("  verdict   %s: %s", ev.Subject, ev.Message)
			}
			d.told[ev.Subject] = ev.Message
		} else {
			d.tell("  verify    %s", ev.Message)
		}
	case migrate.StageClone, migrate.StageScan, migrate.StagePlan, migrate.StageObserve:
	}
}

// migrateOne brings one workload to the target before the story begins: a
// fleet is never all old.
func (d *demo) migrateOne(ctx context.Context) error {
	s, err := d.session(ctx, needs{images: required}, d.world.Checkout())
	if err != nil {
		return err
	}
	defer s.close()
	s.progress.watch = nil // not yet part of the story
	filter, err := migrate.NewFilter(nil, []string{demoCurrent})
	if err != nil {
		return err
	}
	if _, err := s.migration.BuildSome(ctx, filter); err != nil {
		return err
	}
	_, err = s.migration.Rewrite(ctx, nil, filter, writer(d.world.Checkout()))
	return err
}

// journey runs passes until nothing is left to do; between them a person
// merges what is open.
func (d *demo) journey(ctx context.Context) error {
	last := ""
	for pass := 1; pass <= demoPasses; pass++ {
		s, err := d.session(ctx, needs{images: required, forge: required, cluster: required}, "")
		if err != nil {
			return err
		}
		result, err := s.migration.Run(ctx)
		s.close()
		if err != nil {
			return fmt.Errorf("pass %d: %w", pass, err)
		}
		if err := migrate.Join(result.Problems()); err != nil {
			return fmt.Errorf("pass %d: %w", pass, err)
		}
		if hold := result.Propose.Hold; hold != nil && hold.Reason != last {
			d.tell("  waiting   %s", hold.Reason)
			last = hold.Reason
		}
		merged, err := d.mergeAll(ctx)
		if err != nil {
			return err
		}
		if result.Finished() && merged == 0 {
			d.tell("Finished after %d runs.\n", pass)
			return nil
		}
		if err := (systemClock{d.Now}).Sleep(ctx, time.Second); err != nil {
			return err
		}
	}
	return fmt.Errorf("the fleet is not finished after %d runs", demoPasses)
}

// mergeAll is the person who reviews and merges.
func (d *demo) mergeAll(ctx context.Context) (int, error) {
	merged := 0
	for _, p := range d.world.Forge.Pulls() {
		if p.Issue || p.State != "open" {
			continue
		}
		if _, err := d.world.Forge.Merge(ctx, p.Number, forge.Squash, sandbox.Reviewer); err != nil {
			return merged, fmt.Errorf("merging #%d: %w", p.Number, err)
		}
		d.tell("  merged    #%d %s", p.Number, p.Title)
		merged++
	}
	return merged, nil
}

// finish prints the fleet.
func (d *demo) finish(ctx context.Context, output string) error {
	s, err := d.session(ctx, needs{images: required, forge: required}, "")
	if err != nil {
		return err
	}
	defer s.close()
	state, err := s.migration.Status(ctx)
	if err != nil {
		return err
	}
	if output == "json" {
		return d.printJSON(state)
	}
	return d.print(dashboard.FleetText(state, d.style()))
}

// command is how the program is called from another folder.
func (d *demo) command() string {
	if strings.ContainsRune(d.Program, filepath.Separator) {
		return d.path(d.Program)
	}
	return d.Program
}

// ownJourney is what a person does in a world that has only been started. The
// forge has no page to click on, so merging is the request that a click makes.
func (d *demo) ownJourney() string {
	merge := fmt.Sprintf("curl -X PUT -H 'Authorization: Bearer %s' %s/api/v3/repos/acme/deployments/pulls/1/merge", sandbox.ReviewerToken, d.world.Forge.URL())
	return fmt.Sprintf(`  %[1]s plan
  %[1]s run              # builds the canary's image and opens pull request 1
  %[2]s
  %[1]s verify --wait    # judges the rollout
  %[1]s run              # proposes the next ten
  %[1]s status
`, d.command(), merge)
}

// keep leaves the world running until it is interrupted.
func (d *demo) keep(ctx context.Context, next string) error {
	var text strings.Builder
	text.WriteString("\nThe world goes on until you press Ctrl-C. In another terminal:\n\n")
	fmt.Fprintf(&text, "  cd %s\n", filepath.ToSlash(filepath.Dir(d.world.ConfigFile())))
	for _, name := range []string{"GITHUB_TOKEN", "KUBECONFIG"} {
		fmt.Fprintf(&text, "  export %s=%s\n", name, d.world.Environment()[name])
	}
	text.WriteString(next + "\n")
	fmt.Fprintf(&text, "Pull requests: %s (as a person: token %s)\nRegistry: %s\nCluster: %s\n",
		d.world.Forge.URL(), sandbox.ReviewerToken, d.world.Registry.Host(), d.world.Cluster.URL())
	if _, err := io.WriteString(d.Stderr, text.String()); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	<-ctx.Done()
	return nil
}
