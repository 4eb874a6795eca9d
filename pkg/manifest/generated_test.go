package manifest

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

const generatedDeployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: cart}
spec:
  template:
    spec:
      containers:
      - name: cart
        image: reg.example/shop/cart:1.4
        envFrom:
        - configMapRef: {name: cart-env}
`

const generatedFlag = "-javaagent:/opt/skywalking/agent/skywalking-agent.jar"

// migrateGenerated scans a tree and applies one change of each load's value,
// with proof.
func migrateGenerated(t *testing.T, files fstest.MapFS) (Result, Applied) {
	t.Helper()
	result, err := Scan(t.Context(), files, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var groups []Group
	for _, w := range result.Workloads {
		if w.Blocked != nil || len(w.Loads) == 0 {
			continue
		}
		l := w.Loads[0]
		groups = append(groups, Group{ID: w.ID, Changes: []fleet.Change{w.Change(fleet.OpReplace, l.Value, strings.Replace(l.Value.Text, generatedFlag, "-javaagent:/otel/agent.jar", 1))}})
	}
	applied, err := result.Apply(t.Context(), files, groups)
	if err != nil {
		t.Fatal(err)
	}
	return result, applied
}

func TestGeneratorFilesAreEditedOnlyWhereItIsProved(t *testing.T) {
	t.Parallel()
	flag := "LOG_LEVEL=info\nJAVA_TOOL_OPTIONS=" + generatedFlag + "\n"
	for _, tt := range []struct {
		name, kustomization string
		files               map[string]string
		want                string // of jvm.env; empty: it is not written
	}{
		{
			name: "an env file", kustomization: "configMapGenerator:\n- name: cart-env\n  envs: [jvm.env]\n",
			files: map[string]string{"app/jvm.env": flag}, want: strings.Replace(flag, generatedFlag, "-javaagent:/otel/agent.jar", 1),
		},
		{
			name: "a byte order mark and no line end", kustomization: "configMapGenerator:\n- name: cart-env\n  env: jvm.env\n",
			files: map[string]string{"app/jvm.env": "\ufeffJAVA_TOOL_OPTIONS=" + generatedFlag}, want: "\ufeffJAVA_TOOL_OPTIONS=-javaagent:/otel/agent.jar",
		},
		{
			name: "lines and the whole of one file", kustomization: "configMapGenerator:\n- name: cart-env\n  envs: [jvm.env]\n- name: other\n  files: [jvm.env]\n",
			files: map[string]string{"app/jvm.env": flag},
		},
		{
			name: "a Secret made of the same file", kustomization: "configMapGenerator:\n- name: cart-env\n  envs: [jvm.env]\nsecretGenerator:\n- name: other\n  envs: [jvm.env]\n",
			files: map[string]string{"app/jvm.env": flag},
		},
		{
			name: "an image entry of the value's own, which another object copies",
			kustomization: "configMapGenerator:\n- name: cart-env\n  envs: [jvm.env]\nreplacements:\n- source: {kind: ConfigMap, name: cart-env, fieldPath: data.JAVA_TOOL_OPTIONS}\n" +
				"  targets:\n  - select: {kind: Deployment}\n    fieldPaths: [metadata.annotations.copied]\n    options: {create: true}\n",
			files: map[string]string{"app/jvm.env": flag},
		},
		{
			name: "binary files beside it", kustomization: "configMapGenerator:\n- name: cart-env\n  envs: [jvm.env]\n- name: store\n  files: [key.jks, rules.yaml]\n",
			files: map[string]string{"app/jvm.env": flag, "app/key.jks": "\xfe\xed\xfe\xed\x00\x00", "app/rules.yaml": "text: {{ $value }} [\n"},
			want:  strings.Replace(flag, generatedFlag, "-javaagent:/otel/agent.jar", 1),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			files := fstest.MapFS{
				"app/kustomization.yaml": {Data: []byte("resources: [cart.yaml]\n" + tt.kustomization)},
				"app/cart.yaml":          {Data: []byte(generatedDeployment)},
			}
			for name, text := range tt.files {
				files[name] = &fstest.MapFile{Data: []byte(text)}
			}
			result, applied := migrateGenerated(t, files)
			if got := string(applied.Files["app/jvm.env"]); got != tt.want {
				t.Errorf("jvm.env = %q, want %q; refused %v; blocked %v", got, tt.want, applied.Refused, result.Workloads[0].Blocked)
			}
		})
	}
}

func TestAGeneratorFileOfTwoRootsIsShared(t *testing.T) {
	t.Parallel()
	const mount = "        volumeMounts: [{name: bin, mountPath: /bin/x}]\n      volumes: [{name: bin, configMap: {name: cart-env}}]\n"
	for generator, deployment := range map[string]string{
		"envs: [jvm.env]\n":    generatedDeployment,
		"files: [setenv.sh]\n": generatedDeployment + mount,
	} {
		files := fstest.MapFS{
			"base/kustomization.yaml": {Data: []byte("resources: [cart.yaml]\nconfigMapGenerator:\n- name: cart-env\n  " + generator)},
			"base/cart.yaml":          {Data: []byte(deployment)},
			"base/jvm.env":            {Data: []byte("JAVA_TOOL_OPTIONS=" + generatedFlag + "\n")},
			"base/setenv.sh":          {Data: []byte("#!/bin/sh\nJAVA_OPTS=\"" + generatedFlag + "\"\n")},
			"dev/kustomization.yaml":  {Data: []byte("namespace: dev\nresources: [../base]\n")},
			"prod/kustomization.yaml": {Data: []byte("namespace: prod\nresources: [../base]\n")},
		}
		result, err := Scan(t.Context(), files, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(result.Workloads) != 2 {
			t.Fatalf("%s: %d workloads, want two", generator, len(result.Workloads))
		}
		for _, w := range result.Workloads {
			if w.Blocked != nil || len(w.Loads) == 0 || len(w.Loads[0].Value.At.Users) != 2 {
				t.Errorf("%s: %s: blocked %v, loads %+v, want one that both use", generator, w.ID, w.Blocked, w.Loads)
			}
		}
	}
}

func TestATextIsTakenBackBesideAPersonsChange(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{
		"app/kustomization.yaml": {Data: []byte("resources: [cart.yaml]\nconfigMapGenerator:\n- name: cart-env\n  envs: [jvm.env]\n")},
		"app/cart.yaml":          {Data: []byte(generatedDeployment)},
		"app/jvm.env":            {Data: []byte("# options\r\nA=1\r\nJAVA_TOOL_OPTIONS=" + generatedFlag + "\r\nB=2")},
	}
	result, applied := migrateGenerated(t, files)
	after, at := fstest.MapFS{}, fstest.MapFS{}
	for name, f := range files {
		after[name], at[name] = f, f
		if data, ok := applied.Files[name]; ok {
			after[name] = &fstest.MapFile{Data: data}
			at[name] = &fstest.MapFile{Data: []byte(strings.Replace(string(data), "A=1", "A=one\r\nNEW=x", 1))}
		}
	}
	inverted, err := Invert(t.Context(), Undo{Before: files, After: after, At: at, IDs: []fleet.ID{result.Workloads[0].ID}})
	if err != nil || len(inverted.Groups) != 1 {
		t.Fatalf("Invert: %v, %+v", err, inverted)
	}
	back, err := Apply(at, inverted.Groups)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(string(files["app/jvm.env"].Data), "A=1", "A=one\r\nNEW=x", 1)
	if got := string(back.Files["app/jvm.env"]); got != want {
		t.Errorf("jvm.env = %q, want %q; refused %v", got, want, back.Refused)
	}
}

// FuzzTextFile edits a text in every way and takes it back.
func FuzzTextFile(f *testing.F) {
	f.Add("A=1\n# c\n\n B=2\r\nC=", uint8(3), "x y")
	f.Add("\ufeffA=1\nB=2", uint8(5), "")
	f.Add("export A=1\n", uint8(0), "sh")
	f.Fuzz(func(t *testing.T, text string, which uint8, fresh string) {
		file, err := readText("x.env", []byte(text))
		if err != nil {
			return
		}
		undo := func(edits []yamledit.Edit) {
			t.Helper()
			res, err := file.Apply(edits)
			if err != nil {
				return
			}
			now, err := readText("x.env", res.Bytes)
			if err != nil {
				t.Fatalf("reading what the edit wrote: %v", err)
			}
			back, err := now.Apply(res.Inverse)
			if err != nil || string(back.Bytes) != text {
				t.Errorf("%q by %+v is %q, taken back %q (%v)", text, edits, res.Bytes, back.Bytes, err)
			}
			if _, err := now.Apply(edits); err == nil && string(res.Bytes) != text {
				t.Errorf("%+v applies to %q twice", edits, text)
			}
		}
		undo([]yamledit.Edit{{Op: "replace", Path: textPath(), Old: text, New: fresh}})
		var removed, replaced []yamledit.Edit
		for i, l := range file.lines {
			if which>>(i%8)&1 == 0 {
				removed = append(removed, yamledit.Edit{Op: "remove", Path: linePath(l.key)})
				continue
			}
			replaced = append(replaced, yamledit.Edit{Op: "replace", Path: linePath(l.key).Child("value"), Old: text[l.value:l.stop], New: fresh})
		}
		undo(removed)
		undo(replaced)
		undo(append(removed, replaced...))
	})
}
