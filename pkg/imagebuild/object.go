package imagebuild

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// object is a JSON object whose unknown parts stay as they are. Keys are found
// as encoding/json finds them, which most runtimes read images with: in any
// case. They are edited as they are spelt; two spellings of one are refused,
// because readers differ in which they take.
type object map[string]json.RawMessage

// encode writes JSON without touching "&&" and the like inside raw values.
func encode(value any) ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return nil, fmt.Errorf("writing JSON: %w", err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// spellings are the object's keys that mean the one.
func (o object) spellings(key string) []string {
	var found []string
	for k := range o {
		if strings.EqualFold(k, key) {
			found = append(found, k)
		}
	}
	slices.Sort(found)
	return found
}

// spelt is the key as the object spells it.
func (o object) spelt(key string) string {
	if found := o.spellings(key); len(found) > 0 {
		return found[0]
	}
	return key
}

// only is spelt, where there is one spelling.
func (o object) only(key string) (string, error) {
	if found := o.spellings(key); len(found) > 1 {
		return "", refuse(fleet.CodeImageRefused, "the image's JSON has %q, which readers take for one key; build the image anew with a present tool", found)
	}
	return o.spelt(key), nil
}

// set puts a value into the object.
func (o object) set(key string, value any) error {
	key, err := o.only(key)
	if err != nil {
		return err
	}
	data, err := encode(value)
	o[key] = data
	return err
}

// remove takes a key out, however it is spelt.
func (o object) remove(key string) {
	for _, k := range o.spellings(key) {
		delete(o, k)
	}
}

// orRemove sets a list, or removes it where it is nil.
func (o object) orRemove(key string, value []string) error {
	if value == nil {
		key, err := o.only(key)
		delete(o, key)
		return err
	}
	return o.set(key, value)
}

// inner is the object under a key; a new one if there is none.
func (o object) inner(key string) (object, error) {
	key, err := o.only(key)
	if err != nil {
		return nil, err
	}
	inner := object{}
	if raw, ok := o[key]; ok && string(raw) != "null" {
		if err := json.Unmarshal(raw, &inner); err != nil {
			return nil, fmt.Errorf("reading %q: %w", key, err)
		}
	}
	return inner, nil
}

// list is the array under a key.
func (o object) list(key string) ([]json.RawMessage, error) {
	key, err := o.only(key)
	if err != nil {
		return nil, err
	}
	var list []json.RawMessage
	if raw, ok := o[key]; ok {
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, fmt.Errorf("reading %q: %w", key, err)
		}
	}
	return list, nil
}
