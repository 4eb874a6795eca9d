package main

import (
	"os/exec"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// TestKustomizeRunsTheExample lets kustomize itself run examples/kustomize-fn,
// with the command that TestMain puts on the path.
func TestKustomizeRunsTheExample(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("needs sh: the example is a script")
	}
	options := krusty.MakeDefaultOptions()
	options.PluginConfig = types.EnabledPluginConfig(types.BploUseStaticallyLinked)
	options.PluginConfig.FnpLoadingOptions.EnableExec = true
	rendered, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), "../../examples/kustomize-fn")
	if err != nil {
		t.Fatal(err)
	}
	text, err := rendered.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	if got := string(text); strings.Contains(got, "skywalking") || !strings.Contains(got, "-javaagent:/agent/opentelemetry-javaagent.jar") {
		t.Errorf("kustomize build of the example, want OpenTelemetry's agent and no SkyWalking:\n%s", got)
	}
}
