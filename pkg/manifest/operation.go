package manifest

import (
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// added finds the operation of a JSON patch that adds the entry at a path, where
// it is the only one: by itself to its list, with the whole list, or inside an
// object that it adds. The path is where the entry stands in the patch; an
// operation that adds nothing else stands for it as a whole. sole says that no
// other stands in the patch, which would be empty without it.
func added(operations *yaml.Node, path yamledit.Path) (within yamledit.Path, node *yaml.Node, sole, ok bool) {
	if len(path) == 0 || path[len(path)-1].Kind != yamledit.StepWhere {
		return nil, nil, false, false
	}
	for i, item := range operations.Content {
		value := resolve(child(item, "value"))
		if op := field(item, "op"); value == nil || op != "add" && op != "replace" {
			continue
		}
		rest, alone, matched := below(field(item, "path"), path, value)
		if !matched {
			continue
		}
		n, err := rest.Lookup(value)
		if err != nil {
			continue
		}
		if ok {
			return nil, nil, false, false // two add it
		}
		within, node, ok = yamledit.Path{}.Item(i), item, true
		if whole := len(rest) == 0 && alone; whole {
			sole = len(operations.Content) < 2
		} else {
			within, node = append(within.Child("value"), rest...), n
		}
	}
	return within, node, sole, ok
}

// below is the rest of a path below the place that a JSON pointer names. An index
// stands for whatever item the path selects there. alone says that the pointer
// itself appends the item.
func below(pointer string, path yamledit.Path, value *yaml.Node) (rest yamledit.Path, alone, ok bool) {
	parts := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	if len(parts) > len(path) {
		return nil, false, false
	}
	for i, part := range parts {
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		step := path[i]
		_, err := strconv.Atoi(part)
		switch index := err == nil; {
		case part != "-" && !index:
			if step.Kind != yamledit.StepKey || step.Key != part {
				return nil, false, false
			}
		case step.Kind == yamledit.StepKey:
			return nil, false, false
		case i == len(parts)-1 && step.Kind == yamledit.StepWhere && field(value, step.Key) != step.Value:
			return nil, false, false
		}
		alone = part == "-"
	}
	return path[len(parts):], alone, true
}

// moves reports a JSON pointer that counts the entries of a list of the pod in
// which one up to there may be removed. Entries are counted as they are
// rendered; the proof sees to those that stood otherwise when the patch came.
func moves(w fleet.Workload, pointer string, removed func(field string) bool) bool {
	parts := strings.Split(pointer, "/")
	for i, part := range parts[:len(parts)-1] {
		index, err := strconv.Atoi(parts[i+1])
		if err != nil {
			continue
		}
		var fields []string
		switch part {
		case "volumes":
			for _, v := range w.Volumes {
				fields = append(fields, v.Field)
			}
		case "initContainers":
			for _, c := range w.Containers {
				if c.Init {
					fields = append(fields, c.Field)
				}
			}
		case "env", "volumeMounts":
			c := counted(w, parts[:i])
			if c == nil {
				return true
			}
			for _, e := range c.Env {
				if part == "env" {
					fields = append(fields, e.Field)
				}
			}
			for _, m := range c.Mounts {
				if part == "volumeMounts" {
					fields = append(fields, m.Field)
				}
			}
		default:
			continue
		}
		if slices.ContainsFunc(fields[:min(index+1, len(fields))], removed) {
			return true
		}
	}
	return false
}

// counted is the container that a pointer counts to: it ends in containers/0,
// say.
func counted(w fleet.Workload, pointer []string) *fleet.Container {
	if len(pointer) < 2 {
		return nil
	}
	index, err := strconv.Atoi(pointer[len(pointer)-1])
	if err != nil {
		return nil
	}
	init := pointer[len(pointer)-2] == "initContainers"
	for i, c := range w.Containers {
		if c.Init != init {
			continue
		}
		if index == 0 {
			return &w.Containers[i]
		}
		index--
	}
	return nil
}
