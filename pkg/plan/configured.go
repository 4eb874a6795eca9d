package plan

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
	"github.com/otelshift/otelshift/pkg/kyamlfn"
)

// variables are the container's environment as javaagent takes it: its own
// entries, and SW_* that it takes from a ConfigMap as a whole.
func variables(w fleet.Workload, c fleet.Container) []javaagent.Var {
	var vars []javaagent.Var
	for _, from := range c.EnvFrom {
		for _, v := range from.Values {
			if !javaagent.IsSkyWalkingVariable(v.Name) { // those are below
				vars = append(vars, javaagent.Var{Name: v.Name, Value: v.Text, Origin: from.Kind + " " + from.Name})
			}
		}
	}
	for _, e := range c.Env {
		v := javaagent.Var{Name: e.Name, Value: e.Value.Text}
		if e.From != nil {
			v.Reference = strings.TrimSpace(e.From.Kind + " " + strings.Trim(e.From.Name+"/"+e.From.Key, "/"))
			if javaagent.CarriesOptions(e.From.Text) {
				v.Value, v.Reference, v.Origin = e.From.Text, "", v.Reference
			}
		} else if e.Fixed {
			v.Origin = "where nothing is edited"
		} else if e.Value.At != nil && !strings.HasPrefix(e.Value.Field, "spec.") && !strings.HasPrefix(e.Value.Field, "values.") {
			v.Origin = e.Value.At.String()
		}
		vars = append(vars, v)
	}
	for _, s := range configured(w, c) {
		name := c.EnvFrom[s.source].Name
		vars = append(vars, javaagent.Var{Name: s.Name, Value: s.Value.Text, Origin: "configMapRef " + name, Removable: exclusive(w, c, s, name)})
	}
	for _, v := range assigned(w, c) { // a shell's word is the last
		if v.Reference != "" {
			continue // unseenNames says it
		}
		vars = append(slices.DeleteFunc(vars, func(o javaagent.Var) bool { return o.Name == v.Name }), v)
	}
	return vars
}

// assigned are the SW_* variables that scripts of the container set: of its
// command, or mounted beside the flag. They stay where they are.
func assigned(w fleet.Workload, c fleet.Container) []javaagent.Var {
	var out []javaagent.Var
	dialects := kyamlfn.WordDialects(c.Command, c.Args)
	for i, word := range words(c) {
		if dialects[i] == javaagent.DialectShell {
			out = append(out, assignments(word.Text, "the command's script")...)
		}
	}
	for _, l := range w.Loads {
		if l.Container == c.Name && l.Via == fleet.ViaScript && l.Argfile == "" && isSkyWalking(l) {
			out = append(out, assignments(l.Value.Text, "the script "+l.Name)...)
		}
	}
	return out
}

// assignments are the variables of SkyWalking that a shell script sets, as far
// as it is understood. What a value refers to only the shell knows.
func assignments(script, origin string) []javaagent.Var {
	commands, _ := kyamlfn.Commands(script)
	var out []javaagent.Var
	for _, command := range commands {
		for i, word := range command.Words {
			name, value, ok := strings.Cut(word, "=")
			if i == 0 && word == "export" {
				continue
			}
			if !ok || !assignable.MatchString(name) {
				break
			}
			if !javaagent.IsSkyWalkingVariable(name) {
				continue
			}
			v := javaagent.Var{Name: name, Value: value, Origin: origin}
			if strings.ContainsAny(value, "$`") {
				v.Value, v.Reference = "", origin
			}
			out = append(slices.DeleteFunc(out, func(o javaagent.Var) bool { return o.Name == name }), v)
		}
	}
	return out
}

// configuredSign is an SW_* variable that an envFrom brings.
type configuredSign struct {
	fleet.Load
	source int // index in the container's EnvFrom
}

// configured are the SW_* variables that a container takes by envFrom; of one
// name the last counts, as Kubernetes has it.
func configured(w fleet.Workload, c fleet.Container) []configuredSign {
	var out []configuredSign
	for _, s := range w.Signs {
		var source int
		if s.Container != c.Name || s.Via != fleet.ViaConfigMap {
			continue
		}
		if _, err := fmt.Sscanf(strings.TrimPrefix(s.Field, c.Field), ".envFrom[%d]", &source); err != nil || source >= len(c.EnvFrom) || c.EnvFrom[source].Ambiguous {
			continue
		}
		out = slices.DeleteFunc(out, func(o configuredSign) bool { return o.Name == s.Name })
		out = append(out, configuredSign{s, source})
	}
	return out
}

// exclusive reports that an entry of a ConfigMap serves this container alone.
func exclusive(w fleet.Workload, c fleet.Container, s configuredSign, name string) bool {
	at := s.Value.At
	if at == nil || at.Document < 0 || len(at.Users) > 1 || strings.Contains(at.Field, " | ") {
		return false
	}
	uses := 0
	for _, other := range w.Containers {
		for _, from := range other.EnvFrom {
			if from.Kind == "configMapRef" && from.Name == name {
				uses++
			}
		}
		for _, e := range other.Env {
			if e.From != nil && e.From.Kind == "configMapKeyRef" && e.From.Name == name && e.From.Key == strings.TrimPrefix(s.Name, c.EnvFrom[s.source].Prefix) {
				uses++
			}
		}
	}
	return uses == 1 && !slices.ContainsFunc(w.Volumes, func(v fleet.Volume) bool {
		return slices.ContainsFunc(v.Sources, func(s fleet.VolumeSource) bool { return s.Kind == "configMap" && s.Name == name })
	})
}

// assignable is the name of a shell's variable.
var assignable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
