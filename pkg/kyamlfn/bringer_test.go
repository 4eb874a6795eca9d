package kyamlfn_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFindTellsWhoBringsTheAgent: of several init containers that write into
// one volume only the one whose copy puts the jar where the flag looks for it
// is the agent's.
func TestFindTellsWhoBringsTheAgent(t *testing.T) {
	const sky = `{name: sky, image: "apache/skywalking-java-agent:9.1.0", command: [cp, "-r", /skywalking/agent, /work/], volumeMounts: [{name: v, mountPath: /work}]}`
	const private = `{name: apm, image: "example/apm:1", command: [sh, -c, "cp -r /apm/. /work/agent"], volumeMounts: [{name: v, mountPath: /work}]}`
	beside := func(command string) string {
		return `{name: other, image: "example/cart:1", command: ` + command + `, volumeMounts: [{name: v, mountPath: /work}]}`
	}
	tests := []struct {
		name  string
		inits []string
		jar   string // empty: /work/agent/skywalking-agent.jar
		want  []string
	}{
		{"alone", []string{sky}, "", []string{"sky jar"}},
		{"an application's jar beside it", []string{beside(`[cp, /app.jar, /work/app.jar]`), sky}, "", []string{"sky jar shared"}},
		{"by a shell", []string{beside(`[sh, -c, "cp /app.jar /work/app.jar"]`), sky}, "", []string{"sky jar shared"}},
		{"a directory beside it", []string{sky, beside(`[cp, "-r", /plugins, /work/]`)}, "", []string{"sky jar shared"}},
		{"an application's jar beside a private agent", []string{beside(`[cp, /app.jar, /work/app.jar]`), private}, "", []string{"apm jar shared"}},
		{"jars of one directory", []string{beside(`[sh, -c, "cp /lib/*.jar /work/lib/"]`), private}, "", []string{"apm jar shared"}},
		{"what could bring it, beside SkyWalking's own", []string{sky, beside(`[cp, "-r", /x/., /work/]`)}, "", []string{"sky jar shared"}},
		{"the jar itself, beside a whole directory", []string{beside(`[cp, /javaagent.jar, /work/opentelemetry-javaagent.jar]`), `{name: lib, image: "example/lib:1", command: [cp, "-r", /lib/., /work/], volumeMounts: [{name: v, mountPath: /work}]}`}, "/work/opentelemetry-javaagent.jar", []string{"other jar shared"}},
		{"two that could bring it", []string{private, beside(`[cp, "-r", /x/., /work/]`)}, "", []string{"apm jar shared or other", "other jar shared or apm"}},
		{"two that bring it", []string{sky, strings.Replace(sky, "name: sky", "name: again", 1)}, "", []string{"sky jar shared or again", "again jar shared or sky"}},
		{"one whose command is unknown", []string{private, beside(`[sh, -c, "wget -qO- http://x/agent.tgz | tar xz -C /work"]`)}, "", []string{"apm jar shared or other"}},
		{"one that changes modes", []string{private, beside(`[sh, -c, "chown -R 1000 /work && chmod -R 755 /work"]`)}, "", []string{"apm jar shared"}},
		{"moved into place", []string{`{name: sky, image: "example/apm:1", command: [sh, -c, "cp -r /x/one /work && mv /work/one /work/agent"], volumeMounts: [{name: v, mountPath: /work}]}`}, "", []string{"sky jar"}},
		{"nobody's", []string{beside(`[cp, /app.jar, /work/app.jar]`)}, "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			jar := tt.jar
			if jar == "" {
				jar = "/work/agent/skywalking-agent.jar"
			}
			spec := `{initContainers: [` + strings.Join(tt.inits, ", ") + `], containers: [{name: a, image: i, volumeMounts: [{name: v, mountPath: /work}],
			  command: [java, "-javaagent:` + jar + `", -jar, /x.jar]}]}`
			var got []string
			for _, w := range read(t, pod(spec)) {
				for _, a := range w.InitAgents {
					text := a.Container + " " + a.Proof
					if a.Shared {
						text += " shared"
					}
					for _, r := range a.Rivals {
						text += " or " + r.Text
					}
					got = append(got, text)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("init agents (-want +got):\n%s", diff)
			}
		})
	}
}
