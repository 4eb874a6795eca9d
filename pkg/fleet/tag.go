package fleet

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// HashLen is the length of {{.Hash}} in hex digits: the first half says which
// payload the image carries, the second which base and edits it was made of.
const HashLen = 12

// maxTag is the longest tag that registries take. OCI distribution-spec v1.1,
// "Pulling manifests".
const maxTag = 128

// TagTemplate names rebuilt images: image.tag of the configuration. It is a
// text with {{.Hash}} and, as a rule, {{.Tag}}. The zero value renders
// nothing; ParseTagTemplate makes one.
type TagTemplate struct {
	text  string
	parts []tagPart
	match *regexp.Regexp
}

// tagPart is a literal, or one of the fields.
type tagPart struct {
	literal string
	field   string // "Tag", "Hash" or empty
}

// ParseTagTemplate reads a template. Both fields may be used once; {{.Hash}}
// has to be there, or two payloads would share a tag.
func ParseTagTemplate(text string) (TagTemplate, error) {
	t := TagTemplate{text: text}
	pattern := "^"
	seen := map[string]bool{}
	for rest := text; rest != ""; {
		before, after, found := strings.Cut(rest, "{{")
		if before != "" {
			t.parts = append(t.parts, tagPart{literal: before})
			pattern += regexp.QuoteMeta(before)
		}
		if !found {
			break
		}
		field, tail, closed := strings.Cut(after, "}}")
		if !closed {
			return TagTemplate{}, fmt.Errorf("reading tag template %q: {{ without }}", text)
		}
		name := strings.TrimPrefix(strings.TrimSpace(field), ".")
		switch {
		case name != "Tag" && name != "Hash":
			return TagTemplate{}, fmt.Errorf("reading tag template %q: unknown field {{%s}}, want {{.Tag}} or {{.Hash}}", text, field)
		case seen[name]:
			return TagTemplate{}, fmt.Errorf("reading tag template %q: {{.%s}} is there twice", text, name)
		case name == "Tag":
			pattern += `(?P<Tag>.+)`
		default:
			pattern += fmt.Sprintf(`(?P<Hash>[0-9a-f]{%d})`, HashLen)
		}
		seen[name] = true
		t.parts = append(t.parts, tagPart{field: name})
		rest = tail
	}
	if !seen["Hash"] {
		return TagTemplate{}, fmt.Errorf("reading tag template %q: {{.Hash}} is missing, so two payloads would share a tag", text)
	}
	sample := t.Render("x", strings.Repeat("0", HashLen))
	if !validTag(sample) {
		return TagTemplate{}, fmt.Errorf("reading tag template %q: it makes %q, which is no tag", text, sample)
	}
	match, err := regexp.Compile(pattern + "$")
	if err != nil {
		return TagTemplate{}, fmt.Errorf("reading tag template %q: %w", text, err)
	}
	t.match = match
	return t, nil
}

// String is the template as it was written.
func (t TagTemplate) String() string { return t.text }

// Render makes the tag of a rebuilt image. A base tag that would make it
// longer than a registry takes is cut; the hash tells the two apart.
func (t TagTemplate) Render(tag, hash string) string {
	length := 0
	for _, p := range t.parts {
		switch p.field {
		case "":
			length += len(p.literal)
		case "Hash":
			length += len(hash)
		}
	}
	if room := max(maxTag-length, 0); len(tag) > room {
		tag = tag[:room]
	}
	var b strings.Builder
	for _, p := range t.parts {
		switch p.field {
		case "Tag":
			b.WriteString(tag)
		case "Hash":
			b.WriteString(hash)
		default:
			b.WriteString(p.literal)
		}
	}
	return b.String()
}

// Match takes a tag apart that Render made: the base image's tag (empty where
// the template has no {{.Tag}}) and the hash.
func (t TagTemplate) Match(tag string) (base, hash string, ok bool) {
	if t.match == nil {
		return "", "", false
	}
	groups := t.match.FindStringSubmatch(tag)
	if groups == nil {
		return "", "", false
	}
	if i := t.match.SubexpIndex("Tag"); i >= 0 {
		base = groups[i]
	}
	return base, groups[t.match.SubexpIndex("Hash")], true
}

// Base is the tag that a chain of rebuilds started from: the tag itself, or
// what is left of it without our suffix.
func (t TagTemplate) Base(tag string) string {
	for {
		base, _, ok := t.Match(tag)
		if !ok || base == "" {
			return tag
		}
		tag = base
	}
}

// Carries reports whether an image with the tag was made with the payload, as
// far as a tag can tell: 24 bits of its digest.
func (t TagTemplate) Carries(tag string, p Payload) bool {
	_, hash, ok := t.Match(tag)
	return ok && hash[:HashLen/2] == halfHash(p.Digest)
}

// BuildHash is the {{.Hash}} of the image that the rebuild makes of the base
// manifest with the digest ("sha256:…", of the index where there is one).
func BuildHash(p Payload, baseDigest string, r Rebuild) string {
	// One line per fact, so that no two inputs make the same text.
	var b strings.Builder
	fmt.Fprintf(&b, "otelshift image 1\nbase %q\npayload %q\n", baseDigest, p.Digest)
	for _, dir := range slices.Sorted(slices.Values(r.Remove)) {
		fmt.Fprintf(&b, "remove %q\n", dir)
	}
	for _, name := range SortedKeys(r.Env) {
		fmt.Fprintf(&b, "env %q %q\n", name, r.Env[name])
	}
	for _, w := range r.Words {
		fmt.Fprintf(&b, "word %s %d %q\n", w.List, w.Index, w.New)
	}
	sum := sha256.Sum256([]byte(b.String()))
	return halfHash(p.Digest) + hex.EncodeToString(sum[:])[:HashLen/2]
}

// halfHash is the part of a payload's digest that tags show.
func halfHash(digest string) string {
	digits := strings.TrimPrefix(digest, "sha256:")
	if len(digits) < HashLen/2 {
		return strings.Repeat("0", HashLen/2)
	}
	return digits[:HashLen/2]
}

func validTag(tag string) bool {
	ok := tag != "" && len(tag) <= maxTag && !strings.ContainsAny(tag[:1], ".-")
	for _, c := range tag {
		ok = ok && (c == '_' || c == '.' || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z')
	}
	return ok
}

// ImageRef is an image reference taken apart, as a manifest writes it:
// nothing is added that it does not say.
type ImageRef struct {
	Repository string // with the registry, where it is named
	Tag        string
	Digest     string // "sha256:…"
}

// ParseImageRef takes "repository[:tag][@digest]" apart.
func ParseImageRef(ref string) (ImageRef, error) {
	var r ImageRef
	rest, digest, pinned := strings.Cut(ref, "@")
	if pinned {
		digits, ok := strings.CutPrefix(digest, "sha256:")
		if _, err := hex.DecodeString(digits); !ok || err != nil || len(digits) != sha256.Size*2 || strings.ToLower(digits) != digits {
			return ImageRef{}, fmt.Errorf("reading image reference %q: %q is no sha256 digest", ref, digest)
		}
		r.Digest = digest
	}
	r.Repository = rest
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, '/') {
		r.Repository, r.Tag = rest[:i], rest[i+1:]
		if !validTag(r.Tag) {
			return ImageRef{}, fmt.Errorf("reading image reference %q: %q is no tag", ref, r.Tag)
		}
	}
	if r.Repository == "" || strings.ContainsAny(r.Repository, " \t\r\n{}$") {
		return ImageRef{}, fmt.Errorf("reading image reference %q: %w", ref, errNoRepository)
	}
	return r, nil
}

var errNoRepository = errors.New("it names no repository")

// String is the reference as a manifest writes it.
func (r ImageRef) String() string {
	s := r.Repository
	if r.Tag != "" {
		s += ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + r.Digest
	}
	return s
}

// TagName is the {{.Tag}} of a template: the tag, the digest's first twelve
// hex digits for a digest-only reference, else "latest".
func (r ImageRef) TagName() string {
	switch {
	case r.Tag != "":
		return r.Tag
	case r.Digest != "":
		return strings.TrimPrefix(r.Digest, "sha256:")[:12]
	}
	return "latest"
}

// RebuiltRef names the image that the rebuild of r makes, without its digest.
// Rebuilding an image of ours names its base's rebuild: suffixes never stack.
func (t TagTemplate) RebuiltRef(r ImageRef, hash string) ImageRef {
	return ImageRef{Repository: r.Repository, Tag: t.Render(t.Base(r.TagName()), hash)}
}

// Pending is the hash of an image whose base was not asked; DESIGN,
// "Commands": "new images then read …-otel-<pending>".
const Pending = "<pending>"
