package config

import (
	_ "embed" // the types' own comments are the schema's descriptions
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strconv"
	"strings"
)

// source is config.go itself: its doc comments are the only descriptions of
// the keys, so that schema, reference and types cannot drift apart.
//
//go:embed config.go
var source string

// Schema returns the JSON Schema (draft 2020-12) of otelshift.yaml, made from
// the types of this package, their tags and their comments.
func Schema() ([]byte, error) {
	comments, err := parseComments()
	if err != nil {
		return nil, err
	}
	root := schemaOf(reflect.ValueOf(Default()), comments)
	root.Schema = "https://json-schema.org/draft/2020-12/schema"
	root.Title = "otelshift.yaml"
	root.Required = []string{"apiVersion", "kind"}
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding the schema: %w", err)
	}
	return append(text, '\n'), nil
}

// schema is the part of JSON Schema that the types need.
type schema struct {
	Schema      string             `json:"$schema,omitempty"`
	Title       string             `json:"title,omitempty"`
	Description string             `json:"description,omitempty"`
	Type        any                `json:"type,omitempty"` // a string or a list of them
	Const       string             `json:"const,omitempty"`
	Enum        []any              `json:"enum,omitempty"`
	Pattern     string             `json:"pattern,omitempty"`
	Minimum     *int               `json:"minimum,omitempty"`
	Properties  map[string]*schema `json:"properties,omitempty"`
	Required    []string           `json:"required,omitempty"`
	Additional  any                `json:"additionalProperties,omitempty"` // false or a schema
	Items       *schema            `json:"items,omitempty"`
	AnyOf       []*schema          `json:"anyOf,omitempty"`
	Default     any                `json:"default,omitempty"`
	Examples    []any              `json:"examples,omitempty"`
}

// schemaOf describes a type; v holds its defaults.
func schemaOf(v reflect.Value, comments map[string]string) *schema {
	text := []string{"string", "number", "boolean"} // a scalar's own text is taken, so version: 2.20 is fine
	switch v.Interface().(type) {
	case Duration:
		return &schema{Type: "string", Pattern: `^([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+$`}
	case Size:
		return &schema{Type: []string{"string", "integer"}, Pattern: `^[0-9]+ *([kMGT]?B|[KMGT]iB)?$`}
	case Remove:
		return &schema{AnyOf: []*schema{{Const: "auto"}, {Type: "array", Items: &schema{Type: "string", Pattern: "^/"}}}}
	case Selector:
		return &schema{AnyOf: []*schema{
			objectOf(v, comments),
			{Type: "object", Additional: &schema{Type: text}},
		}}
	}
	switch v.Kind() { //nolint:exhaustive // the kinds that configuration has
	case reflect.Pointer:
		return schemaOf(reflect.New(v.Type().Elem()).Elem(), comments)
	case reflect.Struct:
		return objectOf(v, comments)
	case reflect.Map:
		return &schema{Type: "object", Additional: &schema{Type: text}}
	case reflect.Slice:
		return &schema{Type: "array", Items: schemaOf(reflect.New(v.Type().Elem()).Elem(), comments)}
	case reflect.Bool:
		return &schema{Type: "boolean"}
	case reflect.Int:
		return &schema{Type: "integer"}
	default:
		return &schema{Type: text}
	}
}

func objectOf(v reflect.Value, comments map[string]string) *schema {
	s := &schema{Type: "object", Properties: map[string]*schema{}, Additional: false}
	t := v.Type()
	for _, f := range fieldsOf(t) {
		inner := v.Field(f.index)
		property := schemaOf(inner, comments)
		property.Description = comments[t.Name()+"."+t.Field(f.index).Name]
		if f.enum != nil {
			limit := property
			if property.Items != nil {
				limit = property.Items
			}
			limit.Type, limit.Enum = nil, enumValues(f.enum)
		}
		if least, err := strconv.Atoi(f.min); err == nil {
			property.Minimum = &least
		}
		if f.example != "" {
			property.Examples = []any{f.example}
		}
		if !inner.IsZero() && property.Properties == nil {
			property.Default = inner.Interface()
		}
		s.Properties[f.name] = property
	}
	return s
}

// enumValues accepts true and false beside "true" and "false".
func enumValues(texts []string) []any {
	var all []any
	for _, text := range texts {
		all = append(all, text)
		if b, err := strconv.ParseBool(text); err == nil {
			all = append(all, b)
		}
	}
	return all
}

// parseComments maps "Type.Field" to the field's doc comment on one line.
func parseComments() (map[string]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", source, parser.ParseComments)
	if err != nil {
		return nil, fmt.Errorf("reading the types' comments: %w", err)
	}
	comments := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		structure, ok := spec.Type.(*ast.StructType)
		if !ok {
			return false
		}
		for _, f := range structure.Fields.List {
			for _, name := range f.Names {
				comments[spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
			}
		}
		return false
	})
	return comments, nil
}
