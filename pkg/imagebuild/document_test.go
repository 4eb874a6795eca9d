package imagebuild_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/otelshift/otelshift/internal/sandbox/registry"
)

// TestWhatIsOfTheBaseAloneGoes: content that a manifest embeds and what it
// refers to are the base's; annotations and keys that nobody knows stay.
func TestWhatIsOfTheBaseAloneGoes(t *testing.T) {
	t.Parallel()
	r := start(t, registry.Options{})
	seed(t, r, "shop/cart:1.4", tomcat())
	base := image(t, r.Ref("shop/cart:1.4"))
	config, err := base.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	body, err := base.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	var manifest map[string]any
	if err := json.Unmarshal(body, &manifest); err != nil {
		t.Fatal(err)
	}
	described, ok := manifest["config"].(map[string]any)
	if !ok {
		t.Fatalf("no configuration in %s", body)
	}
	described["data"] = base64.StdEncoding.EncodeToString(config)
	described["annotations"] = map[string]string{"of": "the configuration"}
	manifest["subject"] = map[string]any{"mediaType": manifest["mediaType"], "size": 1, "digest": "sha256:" + strings.Repeat("0", 64)}
	manifest["annotations"] = map[string]string{"of": "the manifest"}
	manifest["vendor"] = "key"
	if body, err = json.Marshal(manifest); err != nil {
		t.Fatal(err)
	}
	mediaType, err := base.MediaType()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.SeedManifest(t.Context(), "shop/cart", "1.5", string(mediaType), body); err != nil {
		t.Fatal(err)
	}
	made, err := image(t, build(t, newBuilder(t), rebuild(r, "shop/cart:1.5")).To).RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{`"data"`, `"subject"`} {
		if strings.Contains(string(made), gone) {
			t.Errorf("the new manifest has the base's %s: %s", gone, made)
		}
	}
	for _, kept := range []string{"the configuration", "the manifest", `"vendor":"key"`} {
		if !strings.Contains(string(made), kept) {
			t.Errorf("the new manifest lacks %s: %s", kept, made)
		}
	}
}

// TestHistoryOfABase is gone on with where there is one: with none, one entry
// would stand for several layers.
func TestHistoryOfABase(t *testing.T) {
	t.Parallel()
	const when = "2024-02-03T04:05:06Z"
	for _, row := range []struct {
		name    string
		top     map[string]any
		entries int // of the new image
	}{
		{"none", map[string]any{"history": []any{}}, 0},
		{"of empty layers alone", map[string]any{"history": []any{map[string]any{"created_by": "ENV", "empty_layer": true}}}, 1},
		{"with the time of the base", map[string]any{"created": when}, 4},
	} {
		r := start(t, registry.Options{})
		spec := tomcat()
		spec.Top = row.top
		seed(t, r, "shop/cart:1.4", spec)
		config, err := image(t, build(t, newBuilder(t), rebuild(r, "shop/cart:1.4")).To).ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if len(config.History) != row.entries {
			t.Errorf("%s: history %+v, want %d entries", row.name, config.History, row.entries)
		}
		if row.top["created"] == when && config.History[row.entries-1].Created.Format("2006-01-02T15:04:05Z") != when {
			t.Errorf("%s: our entry %+v", row.name, config.History[row.entries-1])
		}
	}
}
