package fleet

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestChangeHidesSecretsInJSON(t *testing.T) {
	changes := []Change{
		{Place: Place{File: "a.yaml", Line: 3, Column: 7}, Field: "env[name=JAVA_OPTS].value", Op: OpReplace, Old: "-Xmx1g -Dspring.datasource.password=hunter2", New: "-Xmx2g -Dspring.datasource.password=hunter2"},
		{Field: "env[name=SW_AGENT_AUTHENTICATION]", Op: OpRemove, Old: `{name: SW_AGENT_AUTHENTICATION, value: "hunter2"}`},
		{Field: `env[name="API_TOKEN"].value`, Op: OpReplace, Old: "hunter2", New: "hunter22"},
		{Field: "data.DB_PASSWORD", Op: OpReplace, Old: "hunter2", New: "hunter22"},
		{Field: `data["my.token"]`, Op: OpReplace, Old: "hunter2", New: "hunter22"},
		{Field: "image", Op: OpReplace, Old: "a:1", New: "a:1-otel-<pending>", Document: 3, Source: "x"},
	}
	data, err := json.Marshal(changes)
	if err != nil {
		t.Fatal(err)
	}
	got := string(data)
	if strings.Contains(got, "hunter2") {
		t.Errorf("a secret is shown: %s", got)
	}
	for _, want := range []string{`"file":"a.yaml","line":3,"column":7,"field":"env[name=JAVA_OPTS].value"`, "-Xmx2g", `"op":"remove"`, "-otel-"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s lacks %s", got, want)
		}
	}
	if changes[0].Old != "-Xmx1g -Dspring.datasource.password=hunter2" {
		t.Error("the change itself was redacted")
	}
}
