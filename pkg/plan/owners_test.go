package plan

import (
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/config"
	"github.com/otelshift/otelshift/pkg/fleet"
)

func TestOwnersAsGitHubReadsThem(t *testing.T) {
	const everybody = "* @base\n"
	for _, test := range []struct {
		name, rules, file, want string
	}{
		{"the last rule wins", everybody + "/apps/ @apps\n/apps/cart/ @cart\n", "apps/cart/d.yaml", "@cart"},
		{"a later general rule wins over an earlier special one", "/apps/cart/ @cart\n" + everybody, "apps/cart/d.yaml", "@base"},
		{"a rule without owners takes them away", everybody + "/apps/\n", "apps/a.yaml", ""},
		{"several owners have one order and name nobody twice", "* @Zoe @acme/apps ops@acme.example @zoe\n", "a.yaml", "@acme/apps @Zoe ops@acme.example"},
		{"a folder at any depth", "apps/ @apps\n", "envs/prod/apps/a.yaml", "@apps"},
		{"a folder at the root alone", "/apps/ @apps\n", "envs/prod/apps/a.yaml", ""},
		{"a path with a slash is anchored", "prod/apps @apps\n", "envs/prod/apps/a.yaml", ""},
		{"a path without a slash at its end is a folder too", "/envs/prod @prod\n", "envs/prod/apps/a.yaml", "@prod"},
		{"a star takes what is directly in the folder", "docs/* @docs\n", "docs/deep/a.yaml", ""},
		{"a star at the root takes what is directly there", "/* @root\n", "apps/a.yaml", ""},
		{"and a file there", "/* @root\n", "a.yaml", "@root"},
		{"a star in the middle is one folder", "/apps/*/k8s/ @apps\n", "apps/cart/k8s/deep/a.yaml", "@apps"},
		{"one and no more", "/apps/*/k8s/ @apps\n", "apps/a/b/k8s/a.yaml", ""},
		{"two stars are any folders", "/apps/**/k8s/ @apps\n", "apps/a/b/k8s/a.yaml", "@apps"},
		{"two stars in front", "**/prod/ @prod\n", "prod/a.yaml", "@prod"},
		{"two stars behind", "apps/** @apps\n", "apps/a/b.yaml", "@apps"},
		{"a kind of file at any depth", "*.yaml @yaml\n", "a/b/c.yaml", "@yaml"},
		{"an escaped blank", "/team\\ one/ @one\n", "team one/a.yaml", "@one"},
		{"a comment behind", everybody + "/apps/ @apps # ours\n", "apps/a.yaml", "@apps"},
		{"a comment right behind the pattern leaves nobody", everybody + "/apps/ #@apps\n", "apps/a.yaml", ""},
		{"a negation is no rule", everybody + "!/apps/ @apps\n", "apps/a.yaml", "@base"},
		{"a range of characters is no rule", everybody + "/app[a-s]/ @apps\n", "apps/a.yaml", "@base"},
		{"a heading of GitLab is no rule", "[Apps] @apps\n" + everybody + "^[Other][2] @other\n", "Apps", "@base"},
		{"a word that is no owner spoils its line", everybody + "/apps/ apps-team\n", "apps/a.yaml", "@base"},
		{"braces are characters", everybody + "/{apps,lib}/ @both\n", "apps/a.yaml", "@base"},
		{"line ends and a byte order mark", "\ufeff* @base\r\n/apps/ @apps\r\n", "apps/a.yaml", "@apps"},
		{"a slash alone is nothing", everybody + "/ @root\n", "apps/a.yaml", "@base"},
		{"case of paths counts", everybody + "/Apps/ @apps\n", "apps/a.yaml", "@base"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := together(parseOwners([]byte(test.rules)).of(test.file)); got != test.want {
				t.Errorf("owners of %s by %q: %q, want %q", test.file, test.rules, got, test.want)
			}
		})
	}
}

// TestOwnersOfABatchAreThoseOfItsFiles: the overlay that changes is another
// team's than the base that declares the workload.
func TestOwnersOfABatchAreThoseOfItsFiles(t *testing.T) {
	const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: shop}
spec:
  template:
    spec:
      containers:
      - name: NAME
        image: registry.example/NAME:1
        envFrom:
        - configMapRef: {name: NAME}
`
	const options = `apiVersion: v1
kind: ConfigMap
metadata: {name: NAME, namespace: shop}
data:
  JAVA_OPTS: -javaagent:/skywalking/skywalking-agent.jar -Dskywalking.agent.service_name=NAME
`
	in := Input{Config: settings(func(s *config.Spec) { s.Batch.GroupBy = []string{"wave", "owner"} }), Payload: payload, Offline: true}
	in.Owners = []byte("/apps/ @apps @Leads\n/options/cart.yaml @ops\n/options/pay.yaml @leads @APPS\n")
	texts := map[string]string{}
	for _, name := range []string{"cart", "pay"} {
		texts["apps/"+name+".yaml"] = strings.ReplaceAll(deployment, "NAME", name)
		texts["options/"+name+".yaml"] = strings.ReplaceAll(options, "NAME", name)
	}
	in.Scan, _ = scan(t, texts)
	p := Make(in)
	for name, want := range map[string]string{"cart": "@apps @Leads @ops", "pay": "@APPS @Leads"} {
		w, _ := p.Workload(fleet.ID{Kind: "Deployment", Namespace: "shop", Name: name})
		if w.Action != fleet.ActionMigrate || w.Owner != want {
			t.Errorf("%s is %s and owned by %q (%+v), want %q", name, w.Action, w.Owner, w.Reason, want)
		}
	}
	if len(p.Batches) != 2 {
		t.Errorf("batches %+v, want one for each group of owners", p.Batches)
	}
}
