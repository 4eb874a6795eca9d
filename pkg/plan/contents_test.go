package plan

import (
	"slices"
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

func fullPreflight(s *config.Spec) { s.Image.Preflight = "full" }

// contents is an image whose layers were read.
func contents(edits ...func(*fleet.ImageInfo)) fleet.ImageInfo {
	info := fleet.ImageInfo{Contents: &fleet.ImageContents{Agents: []fleet.ImageAgent{{
		Directory: "/skywalking/agent", Version: "9.0.0", Config: "agent.service_name=${SW_AGENT_NAME:carts}\ncollector.backend_service=${SW_AGENT_COLLECTOR_BACKEND_SERVICES:oap:11800}\n",
	}}}}
	for _, edit := range edits {
		edit(&info)
	}
	return info
}

func TestWhatTheImageHoldsIsTranslated(t *testing.T) {
	const bare = "-javaagent:/skywalking/agent/skywalking-agent.jar"
	kit := func(usedBy ...string) func(*fleet.ImageInfo) {
		return func(i *fleet.ImageInfo) {
			i.Contents.Toolkit = []fleet.ImageToolkit{{Library: "apm-toolkit-trace-8.9.0.jar", UsedBy: usedBy}}
		}
	}
	for _, row := range []struct {
		name    string
		flag    string
		info    fleet.ImageInfo
		edit    func(*config.Spec)
		service string
		warns   string
		action  fleet.Action
	}{
		{name: "the service's name is the one in the image's agent.config", info: contents(), service: "carts"},
		{name: "a name in the manifest wins", flag: bare + "=agent.service_name=mine", info: contents(), service: "mine"},
		{
			name: "a variable of the image counts", service: "shop-cart",
			info: contents(func(i *fleet.ImageInfo) { i.Env = []string{"SW_AGENT_NAME=shop-cart"} }),
		},
		{name: "another agent's settings do not count", service: "cart", info: contents(func(i *fleet.ImageInfo) {
			i.Contents.Agents = append(i.Contents.Agents, fleet.ImageAgent{Directory: "/opt/b", Config: "agent.service_name=b\n"})
			i.Contents.Agents[0].Directory = "/opt/a"
		})},
		{name: "a certificate is reported", info: contents(func(i *fleet.ImageInfo) { i.Contents.Agents[0].Certificate = true }), service: "carts", warns: "ca/ca.crt"},
		{name: "the toolkit is reported", info: contents(kit("/app/cart.jar!/Cart.class")), service: "carts", warns: "TraceContext.traceId()"},
		{
			name: "the toolkit can block", info: contents(kit("/app/cart.jar!/Cart.class")), edit: func(s *config.Spec) { s.Options.Code = "block" },
			action: fleet.ActionBlocked, warns: "apm-toolkit-trace",
		},
		{
			name: "a toolkit that nothing uses does not", info: contents(kit()), edit: func(s *config.Spec) { s.Options.Code = "block" },
			service: "carts", warns: "nothing in it was seen to use it",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			flag := row.flag
			if flag == "" {
				flag = bare
			}
			in := input(settings(fullPreflight, row.edit), app("cart", flag))
			if refs := Unlooked(in, Make(in).Workloads); !slices.Equal(refs, []string{"registry.example/cart:1.0"}) {
				t.Errorf("Unlooked = %v, want the image", refs)
			}
			in.Inspected = map[string]fleet.ImageInfo{"registry.example/cart:1.0": row.info}
			p := Make(in)
			if refs := Unlooked(in, p.Workloads); len(refs) > 0 {
				t.Errorf("Unlooked = %v behind the look", refs)
			}
			w := p.Workloads[0]
			want := row.action
			if want == "" {
				want = fleet.ActionMigrate
			}
			if w.Action != want {
				t.Fatalf("action %s (%+v), want %s", w.Action, w.Reason, want)
			}
			text := ""
			for _, change := range w.Changes {
				text += change.New + "\n"
			}
			if row.service != "" && !strings.Contains(text, "-Dotel.service.name="+row.service) {
				t.Errorf("changes %s, want the service name %s", text, row.service)
			}
			said := ""
			for _, warning := range w.Warnings {
				said += warning.Message + "\n"
			}
			for _, container := range w.Containers {
				for _, o := range container.Options {
					said += o.From + ": " + o.Note + "\n"
				}
			}
			if w.Reason != nil {
				said += w.Reason.Message
			}
			if !strings.Contains(said, row.warns) {
				t.Errorf("said %s, want %q", said, row.warns)
			}
		})
	}
}

func TestAFastPreflightSaysWhatItLeavesOpen(t *testing.T) {
	for _, row := range []struct {
		edit func(*config.Spec)
		flag string
		want int
	}{
		{func(*config.Spec) {}, swFlag, 1}, {fullPreflight, swFlag, 0}, {func(*config.Spec) {}, "-Xmx1g", 0},
	} {
		n := 0
		for _, w := range Make(input(settings(row.edit), app("cart", row.flag))).Warnings {
			if w.Code == fleet.CodePreflight {
				n++
			}
		}
		if n != row.want {
			t.Errorf("%q: %d warnings, want %d", row.flag, n, row.want)
		}
	}
}

func TestVariablesOfTheImage(t *testing.T) {
	info := fleet.ImageInfo{Env: []string{"PATH=/bin", "SW_AGENT_NAME=image", "SW_AGENT_AUTHENTICATION=***"}}
	got := imageVariables(info, []javaagent.Var{{Name: "SW_AGENT_NAME", Value: "own"}})
	want := []javaagent.Var{{Name: "PATH", Value: "/bin", Origin: "image"}, {Name: "SW_AGENT_AUTHENTICATION", Reference: "image", Origin: "image"}}
	if !slices.Equal(got, want) {
		t.Errorf("imageVariables = %v, want %v", got, want)
	}
}
