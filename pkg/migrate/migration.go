package migrate

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// Ports are the effects a Migration acts through. PullRequests and Cluster may
// be nil: planning needs neither, and without a cluster nothing is judged.
// Images is nil offline.
type Ports struct {
	Manifests    Manifests
	Images       Images
	PullRequests PullRequests
	Cluster      Cluster
	// Telemetry may be nil: then nobody asks whether any arrives.
	Telemetry Telemetry
	Clock     Clock
}

// Options of one run.
type Options struct {
	Config config.Config
	// Owners is the CODEOWNERS path to read; empty: the usual places.
	Owners string
	// Forgiving lets Plan go on, as without a registry, where the agent's own
	// source cannot be asked; the plan says so. For runs that nobody configured.
	Forgiving bool
	// DryRun stops before the first effect that writes.
	DryRun bool
	// Events receives what happens while it happens, one at a time; nil: nobody
	// looks.
	Events func(Event)
	Log    *slog.Logger

	every bool // workloads without any sign of an agent are looked at too
}

// Stage names a step of the pipeline.
type Stage string

// The stages, in their order.
const (
	StageClone   Stage = "clone"
	StageScan    Stage = "scan"
	StagePlan    Stage = "plan"
	StageObserve Stage = "observe"
	StageBuild   Stage = "build"
	StagePropose Stage = "propose"
	StageVerify  Stage = "verify"
	StageRevert  Stage = "revert"
)

// Event is one thing that happened. Done and Total count Subjects of the same
// stage; Total is 0 where nothing is counted.
type Event struct {
	Stage       Stage
	Subject     string // a workload, image or branch
	Message     string
	Done, Total int
	// Again is when waiting looks again, Until when it gives up; zero where
	// nothing is waited for.
	Again, Until time.Time
}

// Migration conducts one run.
type Migration struct {
	ports Ports
	opt   Options
	spec  config.Spec
	log   *slog.Logger

	telling sync.Mutex // images are worked on side by side
}

// New returns a Migration. Manifests and Clock are required.
func New(ports Ports, opt Options) *Migration {
	log := opt.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Migration{ports: ports, opt: opt, spec: opt.Config.Spec, log: log}
}

func (m *Migration) event(e Event) {
	if m.opt.Events != nil {
		m.telling.Lock()
		defer m.telling.Unlock()
		m.opt.Events(e)
	}
}

// counted is "1 workload", "2 workloads".
func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

func (m *Migration) now() time.Time { return m.ports.Clock.Now() }

// Filter narrows what is shown or done to some workloads.
type Filter struct {
	only      []fleet.Action // empty: all
	workloads []string       // globs; empty: all
}

// NewFilter makes a filter of actions and of globs over "namespace/Kind/name",
// "namespace/name" or the name alone. It names an unknown action or a broken
// glob.
func NewFilter(only, workloads []string) (Filter, error) {
	f := Filter{workloads: workloads}
	for _, name := range only {
		action := fleet.Action(name)
		if !slices.Contains(fleet.Actions(), action) {
			known := make([]string, 0, len(fleet.Actions()))
			for _, a := range fleet.Actions() {
				known = append(known, string(a))
			}
			return Filter{}, fmt.Errorf("action %w", &UnknownError{Got: name, Known: known})
		}
		f.only = append(f.only, action)
	}
	for _, glob := range workloads {
		if _, err := path.Match(glob, ""); err != nil {
			return Filter{}, fmt.Errorf("workload glob %q: %w", glob, err)
		}
	}
	return f, nil
}

// UnknownError is about a name that is none of those that are known.
type UnknownError struct {
	Got   string
	Known []string
}

// Error implements error.
func (e *UnknownError) Error() string {
	return fmt.Sprintf("%q is not one of %s", e.Got, strings.Join(e.Known, ", "))
}

// Match reports whether the workload passes.
func (f Filter) Match(w fleet.Planned) bool {
	return (len(f.only) == 0 || slices.Contains(f.only, w.Action)) && f.MatchID(w.ID)
}

// narrows reports a filter that some workload may not pass.
func (f Filter) narrows() bool { return len(f.only) > 0 || len(f.workloads) > 0 }

// MatchID reports whether the id passes the globs.
func (f Filter) MatchID(id fleet.ID) bool {
	if len(f.workloads) == 0 {
		return true
	}
	for _, glob := range f.workloads {
		for _, name := range []string{id.String(), id.Name, id.Namespace + "/" + id.Name} {
			if ok, err := path.Match(glob, name); err == nil && ok {
				return true
			}
		}
	}
	return false
}

// Plan returns the plan with only the workloads that pass; the summary and the
// batches stay those of the whole.
func (f Filter) Plan(p fleet.Plan) fleet.Plan {
	p.Workloads = slices.DeleteFunc(slices.Clone(p.Workloads), func(w fleet.Planned) bool { return !f.Match(w) })
	return p
}

// Problem is one failure that did not stop the others.
type Problem struct {
	Subject string // image, workload, branch or pull request
	Err     error
}

// MarshalJSON writes subject and message.
func (p Problem) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]string{"subject": p.Subject, "message": javaagent.RedactText(p.Err.Error())})
}
