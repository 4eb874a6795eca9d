package fleet

import (
	"strings"

	"github.com/otelshift/otelshift/pkg/javaagent"
)

// Origin is where a value of a workload is decided when that is not the
// workload's own object: a ConfigMap, a kustomization's images entry, a patch,
// Helm values. Document, Item and Field locate it as in Change.
type Origin struct {
	Place
	Document, Item int
	// Field is the path in that object. Behind " | " it goes on inside the YAML
	// that a string holds: "spec.source.helm.values | image.tag".
	Field string
	// Prefix and Suffix stand around the value in the scalar that holds it: "NAME="
	// and quotes in a kustomization's literal.
	Prefix, Suffix string
	// Raw is the scalar's own text where an ApplicationSet fills the value in, and
	// Fills what it puts for each expression, in order; empty: nothing does.
	Raw   string
	Fills []Fill
	// Outer stands around the scalar's text in the value: the template of an
	// ApplicationSet, whose parameter the scalar is.
	Outer Outer
	// Users are the workloads whose value is decided here, this one included,
	// sorted: a change here changes all of them.
	Users []ID
	// Shown counts how often the document shows this value, through aliases and
	// merge keys; 0: once. Idle are those of them that are known to decide nothing.
	Shown, Idle int
}

// Change returns a change of the value: where it is decided, with its text as
// Old. To is ignored by OpRemove.
func (w Workload) Change(op Op, v Value, to string) Change {
	c := Change{
		Place: v.Place, Field: v.Field, Op: op, Old: v.Text, New: to,
		Document: w.Document, Item: w.Item, For: []string{v.Field},
	}
	if v.At != nil {
		c.Place, c.Field, c.Document, c.Item = v.At.Place, v.At.Field, v.At.Document, v.At.Item
		c.Shown, c.Idle = v.At.Shown, v.At.Idle
		if op == OpReplace {
			c.Old, c.New = v.At.Prefix+v.Text+v.At.Suffix, v.At.Prefix+to+v.At.Suffix
			switch {
			case v.At.Raw != "":
				c.Old, c.New = v.At.Raw, unfill(v.At.Raw, v.At.Fills, to)
			case v.At.Outer != Outer{}:
				if now, ok := v.At.Outer.Inner(to); ok { // else it does not apply
					c.Old, _ = v.At.Outer.Inner(v.Text)
					c.New = now
				}
			}
		}
	}
	if op == OpRemove {
		c.New = ""
	}
	return c
}

// Entry is the whole env entry as a value, for its removal.
func (e Env) Entry() Value { return Value{Field: e.Field, Place: e.Place, At: e.At} }

// Entry is the whole volume as a value, for its removal.
func (v Volume) Entry() Value { return Value{Field: v.Field, Place: v.Place, At: v.At} }

// Entry is the whole mount as a value, for its removal.
func (m Mount) Entry() Value { return Value{Field: m.Field, Place: m.Place, At: m.At} }

// Entry is the whole container as a value, for its removal.
func (c Container) Entry() Value { return Value{Field: c.Field, Place: c.Place, At: c.At} }

// SplitImage is an image reference that is decided in parts: a kustomization's
// images entry (newName, newTag, digest) or Helm values. A part that is not
// written has no Field; Base then is where it would be added.
type SplitImage struct {
	Registry, Name, Tag, Digest Value
	// Base is the mapping that holds the parts; its Field is the mapping's path.
	Base Value
	// Keys name the parts where they have to be added: "newName", "newTag",
	// "digest" in a kustomization. An empty key: cannot be added.
	NameKey, TagKey, DigestKey string
	// TagMayCarryDigest: the tag is pasted behind a colon, so "tag@sha256:…"
	// works (Helm charts); a kustomization wants digest apart.
	TagMayCarryDigest bool
	// Argument is an entry of an Argo CD Application's kustomize.images, one
	// string that has the last word: "name=reference", "name:tag" or
	// "name@digest". Where it is set no other part is.
	Argument Value
}

// Argue returns the Argument that makes the image another one. Only a tag of
// the name itself keeps the short form: what "name:tag@digest" means differs
// between versions of kustomize.
func (s SplitImage) Argue(to string) string {
	name, _, long := strings.Cut(s.Argument.Text, "=")
	if !long {
		name, _, _ = strings.Cut(name, "@")
		if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
			name = name[:i]
		}
		if tag, ok := strings.CutPrefix(to, name+":"); ok && !strings.ContainsAny(tag, "/@:") {
			return to
		}
	}
	return name + "=" + to
}

// InitAgent is an init container that is provably an agent's: it copies the
// agent into a volume that other containers mount.
type InitAgent struct {
	Container string // name of the init container
	Agent     javaagent.Kind
	// Proof says what proves it: "image" (its name), "copy" (the directory it
	// copies) or "jar" (a container loads an agent's jar from the volume).
	Proof     string
	Image     Value
	Volume    string // name of the shared volume; empty when none could be told
	InitMount Mount  // of the volume in the init container
	AppMounts []AppMount
	Copy      *AgentCopy // nil: the image's own entrypoint copies
	// Shared: something beside this agent uses the volume (an application's jar,
	// another init container), so it must stay.
	Shared bool
	// Kept: it is of Helm values, and taking it out of them, with volume and
	// mounts, would not give what is wanted. It can be replaced in kind.
	Kept bool
	// Rivals are other init containers, by name and place, that may as well be
	// the one which brings the jar: nothing in the manifest tells.
	Rivals []Value
}

// AppMount is the mount of an agent's volume in a container that is no init
// container.
type AppMount struct {
	Container string
	Mount     Mount
	Jar       string // path of the jar that the container's flag loads from it; empty: no flag seen
}

// AgentCopy is the command of an init container that copies the agent.
type AgentCopy struct {
	From, To string // as written: "/skywalking/agent", "/agent/"
	// Script is the shell text whose bytes [Start, End) are the cp command; not
	// set in the exec form, where FromValue and ToValue are whole arguments.
	Script             Value
	Start, End         int
	FromValue, ToValue Value
	Args               []Value // exec form: all words, "cp" first
}
