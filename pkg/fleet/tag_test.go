package fleet_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/fleet"
)

const (
	someDigest  = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	otherDigest = "sha256:fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
)

func mustTemplate(t *testing.T, text string) fleet.TagTemplate {
	t.Helper()
	template, err := fleet.ParseTagTemplate(text)
	if err != nil {
		t.Fatal(err)
	}
	return template
}

func TestTagTemplateRendersAndMatches(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, template, tag, want, base string }{
		{"the default puts the hash behind the tag", "{{.Tag}}-otel-{{.Hash}}", "1.4", "1.4-otel-0123456789ab", "1.4"},
		{"blanks inside the braces are allowed", "{{ .Tag }}_{{ .Hash }}", "1.4", "1.4_0123456789ab", "1.4"},
		{"a template may leave the tag out", "otel-{{.Hash}}", "1.4", "otel-0123456789ab", ""},
		{"a tag that looks like ours stays whole", "{{.Tag}}-otel-{{.Hash}}", "1-otel-x", "1-otel-x-otel-0123456789ab", "1-otel-x"},
		{
			"a tag that would be too long is cut", "{{.Tag}}-otel-{{.Hash}}", strings.Repeat("a", 128),
			strings.Repeat("a", 110) + "-otel-0123456789ab", strings.Repeat("a", 110),
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			template := mustTemplate(t, row.template)
			got := template.Render(row.tag, "0123456789ab")
			if got != row.want {
				t.Errorf("Render = %q, want %q", got, row.want)
			}
			base, hash, ok := template.Match(got)
			if base != row.base || hash != "0123456789ab" || !ok {
				t.Errorf("Match(%q) = %q, %q, %v, want base %q", got, base, hash, ok, row.base)
			}
		})
	}
}

func TestTagTemplatesThatCannotWorkAreErrors(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, template, want string }{
		{"the hash is missing", "{{.Tag}}-otel", "{{.Hash}} is missing"},
		{"a field is unknown", "{{.Name}}-{{.Hash}}", "unknown field"},
		{"a field is there twice", "{{.Hash}}-{{.Hash}}", "twice"},
		{"braces do not close", "{{.Hash", "{{ without }}"},
		{"it makes no tag", "{{.Tag}}/{{.Hash}}", "no tag"},
		{"it starts with a dash", "-{{.Hash}}", "no tag"},
		{"it is empty", "", "{{.Hash}} is missing"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if _, err := fleet.ParseTagTemplate(row.template); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("ParseTagTemplate(%q) = %v, want an error with %q", row.template, err, row.want)
			}
		})
	}
}

func TestTagTemplateNeverStacks(t *testing.T) {
	t.Parallel()
	template := mustTemplate(t, "{{.Tag}}-otel-{{.Hash}}")
	ref, err := fleet.ParseImageRef("reg/shop/cart:1.4-otel-0123456789ab-otel-0123456789ac")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := template.RebuiltRef(ref, "aaaaaaaaaaaa").String(), "reg/shop/cart:1.4-otel-aaaaaaaaaaaa"; got != want {
		t.Errorf("RebuiltRef = %q, want %q", got, want)
	}
}

func TestTheHashTellsPayloadFromBase(t *testing.T) {
	t.Parallel()
	template := mustTemplate(t, "{{.Tag}}-otel-{{.Hash}}")
	one, two := fleet.Payload{Digest: someDigest}, fleet.Payload{Digest: otherDigest}
	rebuild := fleet.Rebuild{From: "x", Remove: []string{"/b", "/a"}, Env: map[string]string{"A": "1"}}
	hash := fleet.BuildHash(one, otherDigest, rebuild)
	if len(hash) != fleet.HashLen {
		t.Errorf("hash %q has %d digits, want %d", hash, len(hash), fleet.HashLen)
	}
	if !template.Carries("1.4-otel-"+hash, one) || template.Carries("1.4-otel-"+hash, two) || template.Carries("1.4", one) {
		t.Errorf("Carries does not tell payloads apart by %q", hash)
	}
	sorted := rebuild
	sorted.Remove = []string{"/a", "/b"}
	if got := fleet.BuildHash(one, otherDigest, sorted); got != hash {
		t.Errorf("the order of removals changes the hash: %q and %q", got, hash)
	}
	other := map[string]string{
		"base":     fleet.BuildHash(one, someDigest, rebuild),
		"payload":  fleet.BuildHash(two, otherDigest, rebuild),
		"removals": fleet.BuildHash(one, otherDigest, fleet.Rebuild{From: "x", Env: rebuild.Env}),
		"words":    fleet.BuildHash(one, otherDigest, fleet.Rebuild{From: "x", Remove: rebuild.Remove, Env: rebuild.Env, Words: []fleet.WordEdit{{List: fleet.ListCmd, New: []string{"x"}}}}),
		"env":      fleet.BuildHash(one, otherDigest, fleet.Rebuild{From: "x", Remove: rebuild.Remove}),
	}
	for what, got := range other {
		if got == hash {
			t.Errorf("another %s has the same hash %q", what, hash)
		}
	}
}

func TestImageReferencesComeApart(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		ref, tagName string
		want         fleet.ImageRef
	}{
		{"cart", "latest", fleet.ImageRef{Repository: "cart"}},
		{"localhost:5000/cart", "latest", fleet.ImageRef{Repository: "localhost:5000/cart"}},
		{"reg:5000/shop/cart:1.4", "1.4", fleet.ImageRef{Repository: "reg:5000/shop/cart", Tag: "1.4"}},
		{"cart@" + someDigest, "0123456789ab", fleet.ImageRef{Repository: "cart", Digest: someDigest}},
		{"cart:1.4@" + someDigest, "1.4", fleet.ImageRef{Repository: "cart", Tag: "1.4", Digest: someDigest}},
	} {
		got, err := fleet.ParseImageRef(row.ref)
		if err != nil {
			t.Errorf("ParseImageRef(%q): %v", row.ref, err)
		}
		if diff := cmp.Diff(row.want, got); diff != "" || got.String() != row.ref || got.TagName() != row.tagName {
			t.Errorf("ParseImageRef(%q) = %q, tag name %q (-want +got):\n%s", row.ref, got, got.TagName(), diff)
		}
	}
	for _, ref := range []string{"", ":1", "cart:", "cart:-1", "cart@sha256:12", "cart@md5:00", "ca rt", "${IMAGE}", "{{ image }}"} {
		if got, err := fleet.ParseImageRef(ref); err == nil {
			t.Errorf("ParseImageRef(%q) = %+v, want an error", ref, got)
		}
	}
}
