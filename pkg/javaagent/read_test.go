package javaagent

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseJarOptions(t *testing.T) {
	tests := []struct {
		name, text string
		want       []pair
		dropped    string
	}{
		{"pairs", "a.b=1,c.d=2", []pair{{"a.b", "1"}, {"c.d", "2"}}, ""},
		{"either quote toggles, whichever opened", `a.b='x,y="z',c.d="1=2"`, nil, `a.b='x,y="z',c.d="1=2"`},
		{"a quote inside the other kind closes it", `a.b='x,y"`, []pair{{"a.b", "x,y"}}, ""},
		{"a quoted value", `a.b="x,y=z",c.d=1`, []pair{{"a.b", "x,y=z"}, {"c.d", "1"}}, ""},
		{"brackets are part of a key", "agent.instance_properties[org]=acme", []pair{{"agent.instance_properties[org]", "acme"}}, ""},
		{"an empty value", "a.b=", []pair{{"a.b", ""}}, ""},
		{"two signs drop the rest", "a=1,b=2=3,c=4", []pair{{"a", "1"}}, "b=2=3,c=4"},
		{"a comma at the end drops nothing that counts", "a=1,", []pair{{"a", "1"}}, ""},
		{"nothing", "", nil, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := parseJarOptions(test.text)
			if diff := cmp.Diff(test.want, got.pairs, cmp.AllowUnexported(pair{})); diff != "" || got.dropped != test.dropped {
				t.Errorf("dropped %q, want %q (-want +got):\n%s", got.dropped, test.dropped, diff)
			}
		})
	}
}

func TestParseAgentConfig(t *testing.T) {
	const text = "# a comment\n! another\r\n\n  agent.service_name = ${SW_AGENT_NAME:cart}\nagent.namespace:prod\n" +
		"agent.cluster c1\nlogging.pattern=%level \\\n    %msg\nkey\\ with=x\\ty\nagent.cluster=c2\nempty=\n"
	want := []fileEntry{
		{"agent.service_name", "${SW_AGENT_NAME:cart}"},
		{"agent.namespace", "prod"},
		{"agent.cluster", "c2"},
		{"logging.pattern", "%level %msg"},
		{"key with", "x\ty"},
		{"empty", ""},
	}
	if diff := cmp.Diff(want, parseAgentConfig(text), cmp.AllowUnexported(fileEntry{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestExpandPlaceholders(t *testing.T) {
	set := map[string]string{"A": "1", "EMPTY": "", "NAME": "A"}
	lookup := func(name string) (string, bool) {
		v, ok := set[name]
		return v, ok
	}
	for text, want := range map[string]string{
		"x${A:9}y": "x1y", "${B:9}": "9", "${B:${A:8}}": "1", "${B:${C:d}}": "d", "${EMPTY:9}": "", "${B}": "${B}", "${B:a:b}": "a:b",
		"${": "${", "${${NAME}:x}": "1", "plain": "plain",
	} {
		if got := expandPlaceholders(text, lookup, 0); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestAtLeast(t *testing.T) {
	tests := []struct {
		version, minimum string
		is, known        bool
	}{
		{"8.13.0-java17", "8.8.0", true, true},
		{"8.7.0", "8.8.0", false, true},
		{"8.10", "8.10.0", true, true},
		{"v9.5.0", "8.8.0", true, true},
		{"latest", "8.8.0", false, false},
		{"", "8.8.0", false, false},
		{"6.6.0", "8.8.0", false, true},
	}
	for _, test := range tests {
		if is, known := atLeast(test.version, test.minimum); is != test.is || known != test.known {
			t.Errorf("atLeast(%q, %q) = %v, %v, want %v, %v", test.version, test.minimum, is, known, test.is, test.known)
		}
	}
}

func TestEveryVariableHasOneKey(t *testing.T) {
	names, variables := map[string]bool{}, map[string]bool{}
	for _, k := range append(Keys(), historicKeys...) {
		if names[k.Name] || variables[k.Variable] {
			t.Errorf("%s or %s is there twice", k.Name, k.Variable)
		}
		names[k.Name], variables[k.Variable] = true, true
	}
	plugins := map[string]bool{}
	for _, p := range Plugins() {
		if plugins[p.Name] || p.Broad && len(p.Instrumentations) == 0 {
			t.Errorf("plugin %s is there twice, or broad without a counterpart", p.Name)
		}
		plugins[p.Name] = true
	}
}
