package cluster

import (
	"encoding/json"
	"fmt"

	"github.com/otelshift/otelshift/pkg/rollout"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// liveValues resolves fields on the live object; what is not there is not in
// the map.
func liveValues(object map[string]any, fields []string) (map[string]string, error) {
	values := map[string]string{}
	for _, field := range fields {
		path, err := yamledit.ParsePath(field)
		if err != nil {
			return nil, err
		}
		if value, found := resolve(object, path); found {
			values[field] = scalar(value)
		}
	}
	return values, nil
}

// resolve walks JSON by a path.
func resolve(value any, path yamledit.Path) (any, bool) {
	for _, step := range path {
		switch step.Kind {
		case yamledit.StepKey:
			m, _ := value.(map[string]any)
			next, found := m[step.Key]
			if !found {
				return nil, false
			}
			value = next
		case yamledit.StepIndex:
			list, _ := value.([]any)
			if step.Index < 0 || step.Index >= len(list) {
				return nil, false
			}
			value = list[step.Index]
		case yamledit.StepWhere:
			next, found := where(value, step)
			if !found {
				return nil, false
			}
			value = next
		}
	}
	return value, true
}

func where(value any, step yamledit.Step) (any, bool) {
	list, _ := value.([]any)
	for _, item := range list {
		if m, ok := item.(map[string]any); ok && fmt.Sprint(m[step.Key]) == step.Value {
			return item, true
		}
	}
	return nil, false
}

// scalar is a value as a manifest's decoded scalar; a collection is only told
// to be there, because the API server completes it with defaults.
func scalar(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case map[string]any, []any:
		return rollout.LiveCollection
	case nil:
		return ""
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(text)
}
