package javaagent_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/javaagent"
)

// A generated option string: foreign tokens that have to stay, SkyWalking's
// that have to go.
func generate(r *rand.Rand, d javaagent.Dialect) (text string, foreign []string) {
	stay := []string{
		"-Xmx1g", "-XX:+UseG1GC", "-Dfoo=bar", "-Durl=http://h/?a=1&b=2", "-Dname=a|b", "-Dempty=", "$JAVA_OPTS", "-Dx=$(POD)", "-Dy=${Z}",
		"-javaagent:/jmx/jmx_prometheus_javaagent.jar=8080:/c.yaml", "-Dskywalkingish=1", "-DSWITCH=on", "-Dotel_like=1", "äöü", "-D名=值",
	}
	if d != javaagent.DialectExec {
		stay = append(stay, `-Dq="a b"`, `'-Ds=c  d'`, `-Dw="it's"`)
	}
	gone := []string{
		"-Dskywalking.agent.service_name=cart", "-Dskywalking.agent.service_name=shop::cart", "-Dskywalking.collector.backend_service=oap:11800",
		"-Dskywalking.agent.namespace=prod", "-DSW_AGENT_NAME=pay", "-DSW_AGENT_SAMPLE=3", "-Dskywalking.logging.level=DEBUG", "-Dskywalking.agent.servicename=x",
		"-DSW_LOGGING_ENABLED=true", "-Dskywalking.agent.authentication=tok", "-Dskywalking.plugin.exclude_plugins=jedis-4.x",
		`-Dskywalking.agent.instance_name=i`, "-javaagent:/sw/skywalking-agent.jar",
	}
	blanks := []string{" ", "  ", "\n", " \n  ", "\t"}
	n := r.IntN(12)
	at := r.IntN(n + 1)
	var b strings.Builder
	if r.IntN(4) == 0 {
		b.WriteString(blanks[r.IntN(len(blanks))])
	}
	for i := 0; i <= n; i++ {
		var token string
		switch {
		case i == at:
			token = "-javaagent:/skywalking/agent/skywalking-agent.jar"
			if r.IntN(3) == 0 {
				token += "=agent.service_name=jar,logging.level=WARN"
			}
		case r.IntN(2) == 0:
			token = gone[r.IntN(len(gone))]
		default:
			token = stay[r.IntN(len(stay))]
			foreign = append(foreign, token)
		}
		if i > 0 {
			b.WriteString(blanks[r.IntN(len(blanks))])
		}
		b.WriteString(token)
	}
	if r.IntN(3) == 0 {
		b.WriteString(blanks[r.IntN(len(blanks))])
	}
	return b.String(), foreign
}

// ours reports a raw token that the translation writes.
func ours(raw string) bool {
	return strings.HasPrefix(raw, "-Dotel.") || strings.HasPrefix(raw, `"-Dotel.`) || raw == flag
}

func rawTokens(t *testing.T, text string, d javaagent.Dialect) []string {
	t.Helper()
	tokens, err := javaagent.Tokenize(text, d)
	if err != nil {
		t.Fatalf("Tokenize(%q): %v", text, err)
	}
	var out []string
	for _, token := range tokens {
		out = append(out, text[token.Start:token.End])
	}
	return out
}

func TestUntouchedTokensStayIdenticalAndInOrder(t *testing.T) {
	for seed := range uint64(4000) {
		r := rand.New(rand.NewPCG(seed, 1))
		variable := []string{"JAVA_TOOL_OPTIONS", "CATALINA_OPTS", "JDK_JAVA_OPTIONS", ""}[r.IntN(4)]
		d := javaagent.DialectOf(variable)
		if variable == "" {
			d = javaagent.DialectArgfile
		}
		text, foreign := generate(r, d)
		in := javaagent.Input{Variable: variable, Text: text, Dialect: d, Workload: javaagent.Workload{Name: "w", ImageTag: "1"}, Target: target()}
		in.Target.AllowLost = []string{"agent.authentication"}
		out := translate(t, in)
		if out.Block != nil {
			t.Fatalf("seed %d: %q: blocked: %+v", seed, text, out.Block)
		}
		kept := slices.DeleteFunc(rawTokens(t, out.Text, d), ours)
		if diff := cmp.Diff(foreign, kept, cmp.Transformer("nil", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
			t.Fatalf("seed %d: %q became %q (-want +got):\n%s", seed, text, out.Text, diff)
		}
		if flags := javaagent.Agents(out.Text, d); !slices.ContainsFunc(flags, func(f javaagent.Flag) bool { return f.Kind == javaagent.OpenTelemetry }) || javaagent.HasSkyWalking(out.Text) {
			t.Fatalf("seed %d: %q loads %+v", seed, out.Text, flags)
		}
		checkSecond(t, in, out)

		// An exec list of the same arguments.
		tokens, _ := javaagent.Tokenize(text, d)
		list := texts(tokens)
		listed := translate(t, javaagent.Input{Args: list, Workload: in.Workload, Target: in.Target})
		var want []string
		for _, item := range list {
			if !strings.HasPrefix(item, "-Dskywalking.") && !strings.HasPrefix(item, "-DSW_") && !strings.Contains(item, "skywalking-agent.jar") {
				want = append(want, item)
			}
		}
		got := slices.DeleteFunc(slices.Clone(listed.Args), ours)
		if diff := cmp.Diff(want, got, cmp.Transformer("nil", func(s []string) []string { return append([]string{}, s...) })); listed.Block == nil && diff != "" {
			t.Fatalf("seed %d: list %q (-want +got):\n%s", seed, list, diff)
		}
	}
}

func FuzzTranslate(f *testing.F) {
	f.Add("-Xmx1g -javaagent:/sw/skywalking-agent.jar=a.b=c,d -Dskywalking.agent.service_name=$(Y)", "cart", "agent.namespace=${SW_X:y}")
	f.Add(`"-javaagent:/sw/skywalking-agent.jar" -DSW_AGENT_NAME='x y' @f`, "$(A)|b", "")
	f.Add("-javaagent:/sw/skywalking-agent.jar\n# a # b\n-DSW_AGENT_NAME=\"x \\\n y\"#c\n", "$(A)", "")
	f.Add(`A="-javaagent:/sw/skywalking-agent.jar $A"; java $A`, "", "a\\\n=b")
	f.Fuzz(func(t *testing.T, text, value, file string) {
		for _, variable := range []string{"JAVA_TOOL_OPTIONS", "CATALINA_OPTS", "JDK_JAVA_OPTIONS", ""} {
			d := javaagent.DialectOf(variable)
			if variable == "" {
				d = javaagent.DialectArgfile
			}
			in := javaagent.Input{
				Dialect:  d,
				Variable: variable, Text: text, AgentConfig: file, Workload: javaagent.Workload{Name: "w"}, Target: target(),
				Env: []javaagent.Var{{Name: "SW_AGENT_NAME", Value: value}, {Name: "SW_AGENT_INSTANCE_NAME", Value: value}, {Name: "JAVA_OPTS", Value: value}},
			}
			out, err := javaagent.Translate(in)
			if err != nil {
				t.Fatalf("Translate: %v", err)
			}
			if out.Block != nil {
				if out.Changed() || out.Text != text {
					t.Fatalf("a blocked container was changed: %+v", out)
				}
				continue
			}
			if got := javaagent.Apply(out.Text, javaagent.Invert(out.Edits)); got != text {
				t.Fatalf("the inverse gives %q, not %q", got, text)
			}
			second, err := javaagent.Translate(moved(in, out))
			if err != nil || len(second.Edits) > 0 {
				t.Fatalf("translating %q, then %q, changes more: %+v, %v", text, out.Text, second.Edits, err)
			}
		}
		if _, err := javaagent.Translate(javaagent.Input{Args: []string{"java", text, value, "-jar", "x"}, AgentConfig: file, Target: target()}); err != nil {
			t.Fatalf("Translate: %v", err)
		}
	})
}
