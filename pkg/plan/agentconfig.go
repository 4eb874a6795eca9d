package plan

import (
	"path"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// mountedConfig takes SkyWalking's configuration file from a ConfigMap that is
// mounted where the agent looks: beside its jar, or where -Dskywalking_config
// points. One that is mounted there and not known is unread.
func mountedConfig(w fleet.Workload, c fleet.Container, jar string, in *javaagent.Input) {
	beside := path.Join(path.Dir(jar), "config", "agent.config")
	wanted := beside
	for _, text := range slices.Concat(in.Commands, envTexts(c)) {
		for _, word := range strings.FieldsFunc(text, quoteOrBlank) {
			if file, ok := strings.CutPrefix(word, "-Dskywalking_config="); ok {
				wanted = path.Clean(file)
			}
		}
	}
	for _, f := range c.AgentConfigs {
		if path.Clean(f.Path) == wanted {
			in.AgentConfig = f.Value.Text
		}
	}
	if wanted != beside || in.AgentConfig != "" || in.Unread != "" || jar == "" {
		return
	}
	for _, m := range c.Mounts {
		file := path.Clean(m.Path)
		if file != beside && file != path.Dir(beside) {
			continue
		}
		for _, v := range w.Volumes {
			if v.Name == m.Volume && (v.Kind == "configMap" || v.Kind == "secret" || v.Kind == "projected") {
				in.Unread = strings.TrimSpace(m.Path + " of " + v.Kind + " " + v.Ref)
			}
		}
	}
}

func quoteOrBlank(r rune) bool { return strings.ContainsRune(" \t\r\n\"'", r) }

func envTexts(c fleet.Container) []string {
	var out []string
	for _, e := range c.Env {
		out = append(out, e.Value.Text)
	}
	return out
}
