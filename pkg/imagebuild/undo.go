package imagebuild

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// original is what the base said of what a rebuild changes, for undoing.
type original struct {
	Entrypoint []string `json:"Entrypoint"`
	Cmd        []string `json:"Cmd"`
	Env        []string `json:"Env,omitempty"` // only where Env was edited
}

// written is what we wrote instead, to know what is still ours.
type written struct {
	Entrypoint []string `json:"Entrypoint,omitempty"`
	Cmd        []string `json:"Cmd,omitempty"`
	Env        []string `json:"Env,omitempty"`
}

// runs is what the configuration says now.
func (d configDoc) runs() original {
	return original{Entrypoint: d.Config.Entrypoint, Cmd: d.Config.Cmd, Env: d.Config.Env}
}

// traces are what an image of ours says of its rebuild.
type traces struct {
	said  original
	wrote *written // nil: from before that was recorded
}

// tracesOf reads the labels of an image of ours.
func tracesOf(labels map[string]string) (traces, error) {
	var t traces
	if err := json.Unmarshal([]byte(labels[LabelOriginal]), &t.said); err != nil {
		return t, fmt.Errorf("reading label %s: %w", LabelOriginal, err)
	}
	if text := labels[LabelWrote]; text != "" {
		if err := json.Unmarshal([]byte(text), &t.wrote); err != nil {
			return t, fmt.Errorf("reading label %s: %w", LabelWrote, err)
		}
	}
	return t, nil
}

// madeFrom reports that somebody made the image of one of ours: it has more
// layers, or says something else, or its history goes on.
func (d configDoc) madeFrom(t traces) bool {
	ids := d.RootFS.DiffIDs
	if len(ids) == 0 || ids[len(ids)-1] != d.Config.Labels[LabelLayer] || d.historyGoesOn() {
		return true
	}
	if t.wrote == nil {
		return false
	}
	return !slices.Equal(d.Config.Entrypoint, t.wrote.Entrypoint) || !slices.Equal(d.Config.Cmd, t.wrote.Cmd) ||
		t.wrote.Env != nil && !slices.Equal(effective(d.Config.Env), effective(t.wrote.Env))
}

// historyGoesOn reports entries behind ours.
func (d configDoc) historyGoesOn() bool {
	at := ourEntry(d.History)
	return at >= 0 && at < len(d.History)-1
}

// ourEntry is the place of our entry in a history; -1: there is none.
func ourEntry(history []historyDoc) int {
	for i, h := range slices.Backward(history) {
		if h.CreatedBy == createdBy && !h.EmptyLayer {
			return i
		}
	}
	return -1
}

// undo gives what the base said, but for what somebody has set since in an
// image made of ours: that stays, unless it needs what we put there. why says
// what that is; what the image says now is returned then.
func (d configDoc) undo(t traces) (before original, why string) {
	now := d.runs()
	if t.wrote == nil {
		if d.historyGoesOn() {
			return now, "what of its configuration was changed since cannot be seen (it has no label " + LabelWrote + ")"
		}
		return t.said, ""
	}
	entrypoint, cmd, why := undoCommand(now, t.said, *t.wrote)
	if why != "" {
		return now, why
	}
	env, why := undoEnv(now.Env, t.said.Env, t.wrote.Env)
	if why != "" {
		return now, why
	}
	return original{Entrypoint: entrypoint, Cmd: cmd, Env: env}, ""
}

func undoCommand(now, said original, wrote written) (entrypoint, cmd []string, why string) {
	ourEntrypoint, ourCmd := slices.Equal(now.Entrypoint, wrote.Entrypoint), slices.Equal(now.Cmd, wrote.Cmd)
	replaced := !slices.Equal(said.Entrypoint, wrote.Entrypoint)
	entrypoint, cmd = now.Entrypoint, now.Cmd
	switch {
	case ourEntrypoint && ourCmd:
		return said.Entrypoint, said.Cmd, ""
	case ourEntrypoint && replaced:
		return nil, nil, fmt.Sprintf("its Cmd %q was set for the entrypoint that the image of ours has", javaagent.RedactWords(now.Cmd))
	case ourEntrypoint:
		entrypoint = said.Entrypoint
	case ourCmd && len(now.Cmd) > 0: // an entrypoint without one clears it
		cmd = said.Cmd
	}
	if !ourEntrypoint && replaced && len(wrote.Entrypoint) > 0 {
		script := wrote.Entrypoint[len(wrote.Entrypoint)-1]
		for _, word := range slices.Concat(entrypoint, cmd) {
			if strings.Contains(word, script) {
				return nil, nil, fmt.Sprintf("its command runs %s, which the image of ours has", script)
			}
		}
	}
	for _, load := range commandLoads(entrypoint, cmd) {
		if load.Agent == javaagent.OpenTelemetry {
			return nil, nil, fmt.Sprintf("its %s loads the agent of the image of ours (%s)", load.Where, load.Jar)
		}
	}
	return entrypoint, cmd, ""
}

// undoEnv keeps the base's order. Without said, we left Env alone.
func undoEnv(now, said, wrote []string) (env []string, why string) {
	if said == nil || slices.Equal(now, wrote) {
		return said, ""
	}
	is, was, ours := values(now), values(said), values(wrote)
	env = []string{}
	for _, entry := range effective(said) {
		name, _, _ := strings.Cut(entry, "=")
		value, set := is[name]
		if written, wroteIt := ours[name]; set == wroteIt && value == written {
			env = append(env, entry)
		} else if set {
			env = append(env, name+"="+value)
		}
	}
	for _, entry := range effective(now) {
		name, value, _ := strings.Cut(entry, "=")
		written, wroteIt := ours[name]
		if !has(was, name) && !(wroteIt && value == written) {
			env = append(env, entry)
		}
		if !wroteIt || value != written {
			for _, flag := range javaagent.Agents(value, javaagent.DialectOf(name)) {
				if flag.Kind == javaagent.OpenTelemetry {
					return nil, fmt.Sprintf("its variable %s loads the agent of the image of ours (%s)", name, flag.Jar)
				}
			}
		}
	}
	return env, ""
}

// values are the variables by name; the last of several counts.
func values(env []string) map[string]string {
	byName := map[string]string{}
	for _, entry := range env {
		name, value, _ := strings.Cut(entry, "=")
		byName[name] = value
	}
	return byName
}

// pop takes our own layer off an image that we built, so that layers never
// stack.
func (s *stack) pop(edit *configEdit) error {
	labels := s.config.Config.Labels
	ours := labels[LabelLayer]
	if ours == "" {
		return nil
	}
	last := len(s.layers) - 1
	if last < 0 || s.config.RootFS.DiffIDs[last] != ours {
		return refuse(fleet.CodeImageRefused,
			"image %s was made from an image of ours with more layers on top; build it from %q instead", s.ref, labels[LabelBaseName])
	}
	found, err := tracesOf(labels)
	if err != nil {
		return refuse(fleet.CodeImageRefused, "image %s cannot be brought back to its base: %v", s.ref, err)
	}
	before, why := s.config.undo(found)
	if why != "" {
		return refuse(fleet.CodeImageRefused, "image %s was made from an image of ours, and %s; build it from %q instead", s.ref, why, labels[LabelBaseName])
	}
	edit.restore = &before
	if edit.labels[LabelBaseName] == labels[LabelBaseName] { // its base was looked for and is gone
		edit.labels[LabelBaseDigest] = labels[LabelBaseDigest]
	}
	s.layers, s.config.RootFS.DiffIDs = s.layers[:last:last], s.config.RootFS.DiffIDs[:last:last]
	s.config.Config.Entrypoint, s.config.Config.Cmd = before.Entrypoint, before.Cmd
	return nil
}
