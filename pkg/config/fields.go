package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// field is one key of a configuration type.
type field struct {
	name      string // as in the file
	index     int
	omitEmpty bool
	enum      []string // allowed values; of the items, for a list
	min       string   // least value, for a number
	check     string   // name of a further check
	example   string
}

// fieldsOf lists the keys of a configuration type in their order.
func fieldsOf(t reflect.Type) []field {
	var all []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			continue
		}
		key := field{
			name: name, index: i, omitEmpty: rest == "omitempty",
			min: f.Tag.Get("min"), check: f.Tag.Get("check"), example: f.Tag.Get("example"),
		}
		if enum := f.Tag.Get("enum"); enum != "" {
			key.enum = strings.Split(enum, "|")
		}
		all = append(all, key)
	}
	return all
}

func fieldNamed(t reflect.Type, name string) bool {
	return slices.ContainsFunc(fieldsOf(t), func(f field) bool { return f.name == name })
}

// unknownHint says what an unknown key may have meant: the same key elsewhere,
// or a near one here.
func unknownHint(key, path string, fields []field) string {
	var known []string
	for _, f := range fields {
		known = append(known, f.name)
	}
	var elsewhere []string
	walkKeys(reflect.TypeFor[Config](), "", func(at, name string) {
		if name == key {
			elsewhere = append(elsewhere, at)
		}
	})
	near := Nearest(key, known)
	switch {
	case near != "":
		return fmt.Sprintf("did you mean %q?", near)
	case len(elsewhere) > 0:
		return fmt.Sprintf("%q belongs in %s", key, strings.Join(elsewhere, " or in "))
	case path == "":
		return "the keys here are " + strings.Join(known, ", ")
	}
	return fmt.Sprintf("the keys of %s are %s", path, strings.Join(known, ", "))
}

// walkKeys visits every key of a type and of the types below it.
func walkKeys(t reflect.Type, path string, visit func(at, name string)) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		if t.Kind() == reflect.Slice {
			path += "[]"
		}
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[Remove]() {
		return
	}
	for _, f := range fieldsOf(t) {
		visit(path, f.name)
		walkKeys(t.Field(f.index).Type, join(path, f.name), visit)
	}
}
