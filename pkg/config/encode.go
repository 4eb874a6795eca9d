package config

import (
	"bytes"
	"encoding"
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// Encode writes c as YAML, keys in the order of the types, so that Decode
// returns the same value.
func Encode(c Config) ([]byte, error) {
	root, err := encode(reflect.ValueOf(c))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		return nil, fmt.Errorf("encoding the configuration: %w", err)
	}
	if err := enc.Close(); err != nil {
		return nil, fmt.Errorf("encoding the configuration: %w", err)
	}
	return out.Bytes(), nil
}

func encode(v reflect.Value) (*yaml.Node, error) {
	switch value := v.Interface().(type) {
	case Remove:
		return encode(reflect.ValueOf(value.plain()))
	case Selector:
		if plain, ok := value.plain().(map[string]string); ok {
			return encode(reflect.ValueOf(plain))
		}
	case encoding.TextMarshaler:
		text, err := value.MarshalText()
		if err != nil {
			return nil, fmt.Errorf("encoding the configuration: %w", err)
		}
		return textNode(string(text)), nil
	}
	switch v.Kind() { //nolint:exhaustive // the kinds that configuration has
	case reflect.Pointer:
		return encode(v.Elem())
	case reflect.String:
		return textNode(v.String()), nil
	case reflect.Struct:
		n := &yaml.Node{Kind: yaml.MappingNode}
		for _, f := range fieldsOf(v.Type()) {
			inner := v.Field(f.index)
			if f.omitEmpty && (inner.IsZero() || (inner.Kind() == reflect.Slice && inner.Len() == 0)) {
				continue
			}
			value, err := encode(inner)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, textNode(f.name), value)
		}
		return n, nil
	case reflect.Map:
		n := &yaml.Node{Kind: yaml.MappingNode}
		labels, _ := v.Interface().(map[string]string)
		for _, key := range fleet.SortedKeys(labels) {
			n.Content = append(n.Content, textNode(key), textNode(labels[key]))
		}
		return flowIfEmpty(n), nil
	case reflect.Slice:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for i := range v.Len() {
			value, err := encode(v.Index(i))
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, value)
		}
		return flowIfEmpty(n), nil
	default:
	}
	n := new(yaml.Node)
	if err := n.Encode(v.Interface()); err != nil {
		return nil, fmt.Errorf("encoding the configuration: %w", err)
	}
	return n, nil
}

func flowIfEmpty(n *yaml.Node) *yaml.Node {
	if len(n.Content) == 0 {
		n.Style = yaml.FlowStyle
	}
	return n
}

// textNode is a string scalar; the encoder quotes it where it would read as
// something else.
func textNode(s string) *yaml.Node {
	n := new(yaml.Node)
	n.SetString(s)
	return n
}

// flow writes a scalar or a list of scalars on one line; empty ones as "".
func flow(n *yaml.Node) string {
	if len(n.Content) == 0 {
		return n.Value
	}
	var items []string
	for _, item := range n.Content {
		items = append(items, flow(item))
	}
	return "[" + strings.Join(items, ", ") + "]"
}
