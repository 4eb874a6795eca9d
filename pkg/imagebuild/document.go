package imagebuild

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/imagebuild/layer"
	"github.com/otelshift/otelshift/pkg/imagebuild/wire"
	"github.com/otelshift/otelshift/pkg/javaagent"
)

// Labels of rebuilt images; DESIGN, decision 5.
const (
	LabelBaseName   = "otelshift.base.name"   // reference without digest
	LabelBaseDigest = "otelshift.base.digest" // of the platform's own manifest
	// LabelBaseIndex is the digest of the index that the base's manifest was
	// in, if there was one.
	LabelBaseIndex    = "otelshift.base.index"
	LabelLayer        = "otelshift.layer" // diffID
	LabelAgentVersion = "otelshift.agent.version"
	LabelPayload      = "otelshift.payload"  // digest of fleet.Payload
	LabelOriginal     = "otelshift.original" // JSON: original
	LabelWrote        = "otelshift.wrote"    // JSON: written
	LabelRemoved      = "otelshift.removed"  // JSON: the paths that were removed, for the next rebuild
)

// createdBy marks our entry in an image's history.
const createdBy = "otelshift: add the OpenTelemetry Java agent"

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Size        int64             `json:"size"`
	Digest      string            `json:"digest"`
	URLs        []string          `json:"urls,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Platform    *platform         `json:"platform,omitempty"`

	ArtifactType string `json:"artifactType,omitempty"`
}

func (d descriptor) wire() wire.Descriptor {
	return wire.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
}

type platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant,omitempty"`
}

func (p platform) String() string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

type manifestDoc struct {
	Config       descriptor   `json:"config"`
	Layers       []descriptor `json:"layers"`
	ArtifactType string       `json:"artifactType"`
	Subject      *descriptor  `json:"subject"` // what an artifact is about
}

// isImage reports a manifest of a container image; others carry Helm charts,
// signatures and whatever people put into registries. Registries once lost the
// configuration's type (github.com/docker/distribution/issues/1621), and Docker
// takes what they made of it for images (moby v2,
// daemon/internal/distribution/registry.go, "defaultImageTypes"); here the layers have to be an image's too.
func (m manifestDoc) isImage() bool {
	switch m.Config.MediaType {
	case "application/octet-stream", "application/json", "text/html", "":
		return m.ArtifactType == "" && len(m.Layers) > 0 &&
			!slices.ContainsFunc(m.Layers, func(d descriptor) bool { return !types.MediaType(d.MediaType).IsLayer() })
	}
	return types.MediaType(m.Config.MediaType).IsConfig()
}

type configDoc struct {
	platform
	Config struct {
		Env        []string                   `json:"Env"`
		Entrypoint []string                   `json:"Entrypoint"`
		Cmd        []string                   `json:"Cmd"`
		User       string                     `json:"User"`
		WorkingDir string                     `json:"WorkingDir"`
		Volumes    map[string]json.RawMessage `json:"Volumes"`
		Labels     map[string]string          `json:"Labels"`
	} `json:"config"`
	RootFS struct {
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
	History []historyDoc `json:"history"`
}

// historyDoc is one entry of an image's history.
type historyDoc struct {
	CreatedBy  string `json:"created_by"`
	EmptyLayer bool   `json:"empty_layer"`
}

// kind is what an artifact says that it is. OCI image-spec v1.1, manifest.md,
// "Guidelines for Artifact Usage".
func (m manifestDoc) kind() string {
	if m.ArtifactType != "" {
		return m.ArtifactType
	}
	return m.Config.MediaType
}

func parseManifest(body []byte) (manifestDoc, error) {
	var m manifestDoc
	if err := json.Unmarshal(body, &m); err != nil {
		return m, fmt.Errorf("reading a manifest: %w", err)
	}
	return m, nil
}

func isIndex(mediaType string) bool { return types.MediaType(mediaType).IsIndex() }

// editManifest puts another configuration and one more layer into a manifest;
// layers keeps that many of its own.
func editManifest(body []byte, config wire.Descriptor, keep int, added descriptor) ([]byte, error) {
	top := object{}
	if err := json.Unmarshal(body, &top); err != nil {
		return nil, fmt.Errorf("reading a manifest: %w", err)
	}
	c, err := top.inner("config")
	if err != nil {
		return nil, err
	}
	c.remove("data") // the old content, embedded
	if err := c.set("digest", config.Digest); err != nil {
		return nil, err
	}
	if err := c.set("size", config.Size); err != nil {
		return nil, err
	}
	if err := top.set("config", c); err != nil {
		return nil, err
	}
	layers, err := top.list("layers")
	if err != nil {
		return nil, err
	}
	raw, err := encode(added)
	if err != nil {
		return nil, err
	}
	if err := top.set("layers", append(layers[:keep:keep], raw)); err != nil {
		return nil, err
	}
	top.remove("subject") // what refers to the base does not refer to this
	return encode(top)
}

// isEdited reports a manifest that is, byte for byte, what editManifest makes
// of the base's with the configuration and the last layer that it names. Other
// tools do not write theirs so: their keys come in another order.
func isEdited(base wire.Manifest, body []byte) bool {
	have, err := parseManifest(body)
	if err != nil || len(have.Layers) == 0 {
		return false
	}
	want, err := parseManifest(base.Body)
	if err != nil {
		return false
	}
	added := have.Layers[len(have.Layers)-1]
	ours := describe(layerType(base.MediaType), layer.Result{Digest: added.Digest, Size: added.Size})
	edited, err := editManifest(base.Body, have.Config.wire(), len(want.Layers), ours)
	return err == nil && bytes.Equal(edited, body)
}

// configEdit is what a rebuild changes in an image's configuration.
type configEdit struct {
	keep       int    // layers of the base
	diffID     string // of our layer
	entrypoint []string
	restore    *original // of an image of ours: what its base said
	env        map[string]string
	words      []fleet.WordEdit
	labels     map[string]string
}

// apply edits the configuration, everything unknown untouched.
func (e configEdit) apply(body []byte) ([]byte, error) {
	top := object{}
	if err := json.Unmarshal(body, &top); err != nil {
		return nil, fmt.Errorf("reading an image configuration: %w", err)
	}
	var doc configDoc
	if err := json.Unmarshal(body, &doc); err != nil {
		return nil, fmt.Errorf("reading an image configuration: %w", err)
	}
	config, err := top.inner("config")
	if err != nil {
		return nil, err
	}
	said := original{Entrypoint: doc.Config.Entrypoint, Cmd: doc.Config.Cmd}
	env := doc.Config.Env
	if e.restore != nil {
		said.Entrypoint, said.Cmd = e.restore.Entrypoint, e.restore.Cmd
		if e.restore.Env != nil {
			env = e.restore.Env
		}
		if err := config.orRemove("Entrypoint", said.Entrypoint); err != nil {
			return nil, err
		}
		if err := config.orRemove("Cmd", said.Cmd); err != nil {
			return nil, err
		}
	}
	wrote := written{Entrypoint: said.Entrypoint, Cmd: said.Cmd}
	if len(e.env) > 0 {
		said.Env, wrote.Env = env, editEnv(env, e.env)
	}
	if len(e.env) > 0 || e.restore != nil {
		if err := config.orRemove("Env", editEnv(env, e.env)); err != nil {
			return nil, err
		}
	}
	if len(e.words) > 0 {
		if wrote.Entrypoint, wrote.Cmd, err = editWords(said.Entrypoint, said.Cmd, e.words); err != nil {
			return nil, err
		}
	}
	if len(e.entrypoint) > 0 {
		wrote.Entrypoint, wrote.Cmd = e.entrypoint, nil
	}
	if len(e.words) > 0 || len(e.entrypoint) > 0 {
		if err := config.orRemove("Entrypoint", wrote.Entrypoint); err != nil {
			return nil, err
		}
		if err := config.orRemove("Cmd", wrote.Cmd); err != nil {
			return nil, err
		}
	}
	labels, err := config.inner("Labels")
	if err != nil {
		return nil, err
	}
	before, err := encode(said)
	if err != nil {
		return nil, err
	}
	after, err := encode(wrote)
	if err != nil {
		return nil, err
	}
	e.labels[LabelOriginal], e.labels[LabelWrote], e.labels[LabelLayer] = string(before), string(after), e.diffID
	for key, value := range e.labels {
		if labels[key], err = encode(value); err != nil { // names of labels are no keys to Go
			return nil, err
		}
	}
	if err := config.set("Labels", labels); err != nil {
		return nil, err
	}
	if err := top.set("config", config); err != nil {
		return nil, err
	}
	if err := e.stack(top, doc); err != nil {
		return nil, err
	}
	return encode(top)
}

// stack adds our layer to rootfs and history.
func (e configEdit) stack(top object, doc configDoc) error {
	rootfs, err := top.inner("rootfs")
	if err != nil {
		return err
	}
	if err := rootfs.set("diff_ids", append(doc.RootFS.DiffIDs[:e.keep:e.keep], e.diffID)); err != nil {
		return err
	}
	if err := top.set("rootfs", rootfs); err != nil {
		return err
	}
	history, err := top.list("history")
	if err != nil {
		return err
	}
	layers := 0
	for _, h := range doc.History {
		if !h.EmptyLayer {
			layers++
		}
	}
	if at := ourEntry(doc.History); e.restore != nil && at >= 0 {
		history = slices.Delete(history, at, at+1)
		layers--
	}
	if layers == 0 && e.keep > 0 {
		return nil // the base keeps none; one entry for several layers would be wrong
	}
	entry := object{}
	if created, ok := top[top.spelt("created")]; ok { // the base's: no clock in images
		entry["created"] = created
	}
	if err := entry.set("created_by", createdBy); err != nil {
		return err
	}
	raw, err := encode(entry)
	if err != nil {
		return err
	}
	return top.set("history", append(history, raw))
}

// effective leaves of each variable what a container gets: runtimes keep the
// last of several (runc, libcontainer/env.go, prepareEnv).
func effective(env []string) []string {
	last := map[string]int{}
	for i, entry := range env {
		name, _, _ := strings.Cut(entry, "=")
		last[name] = i
	}
	var kept []string
	for i, entry := range env {
		if name, _, _ := strings.Cut(entry, "="); last[name] == i {
			kept = append(kept, entry)
		}
	}
	return kept
}

// before is what the edited variables were.
func (e configEdit) before(env []string) map[string]string {
	if e.restore != nil && e.restore.Env != nil {
		env = e.restore.Env
	}
	was := map[string]string{}
	for _, entry := range env { // the last of several counts
		if name, value, _ := strings.Cut(entry, "="); has(e.env, name) {
			was[name] = value
		}
	}
	return was
}

func has[V any](m map[string]V, key string) bool {
	_, ok := m[key]
	return ok
}

// editEnv replaces values by name, wherever that stands; an empty one removes the variable.
func editEnv(env []string, edits map[string]string) []string {
	edited := []string{}
	seen := map[string]bool{}
	for _, entry := range env {
		name, _, _ := strings.Cut(entry, "=")
		value, ok := edits[name]
		seen[name] = true
		switch {
		case !ok:
			edited = append(edited, entry)
		case value != "":
			edited = append(edited, name+"="+value)
		}
	}
	for _, name := range fleet.SortedKeys(edits) {
		if !seen[name] && edits[name] != "" {
			edited = append(edited, name+"="+edits[name])
		}
	}
	return edited
}

// editWords replaces items of a command. What is not what the plan saw is
// refused: the image is another one than was inspected.
func editWords(entrypoint, cmd []string, edits []fleet.WordEdit) (newEntrypoint, newCmd []string, err error) {
	lists := map[string][]string{fleet.ListEntrypoint: slices.Clone(entrypoint), fleet.ListCmd: slices.Clone(cmd)}
	shown := map[string][]string{fleet.ListEntrypoint: javaagent.RedactWords(entrypoint), fleet.ListCmd: javaagent.RedactWords(cmd)}
	for _, e := range slices.Backward(edits) { // from the end, so that indices stay true
		was := shown[e.List]
		if e.Index < 0 || e.Index >= len(was) || was[e.Index] != e.Old {
			return nil, nil, refuse(fleet.CodeImageRefused, "%s[%d] of the image is not %q any more: it is another image than was inspected; run again", e.List, e.Index, e.Old)
		}
		lists[e.List] = slices.Replace(lists[e.List], e.Index, e.Index+1, e.New...)
	}
	return lists[fleet.ListEntrypoint], lists[fleet.ListCmd], nil
}

// layerType is the media type of our layer in a manifest of the given one.
func layerType(manifest string) string {
	if manifest == string(types.DockerManifestSchema2) {
		return string(types.DockerLayer)
	}
	return string(types.OCILayer)
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func describe(mediaType string, r layer.Result) descriptor {
	return descriptor{MediaType: mediaType, Size: r.Size, Digest: r.Digest}
}
