package plan

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// What only files of the image decide: asked for where it matters, read where it
// is known, said where it is not.
func TestFilesOfTheImageCount(t *testing.T) {
	const (
		config = "/skywalking/config/agent.config"
		stock  = "agent.service_name=${SW_AGENT_NAME:Your_ApplicationName}\nagent.sample_n_per_3_secs=${SW_AGENT_SAMPLE:-1}\n"
		image  = "registry.example/cart:1"
	)
	with := func(options string) string {
		return strings.Replace(plainApp, " -Dskywalking.agent.service_name=cart", options, 1)
	}
	words := func(list string) string {
		head, _, _ := strings.Cut(plainApp, "        env:\n")
		return head + "        command: [" + list + "]\n"
	}
	mount := "        volumeMounts: [{name: sw, mountPath: /skywalking}]\n        env:\n"
	tests := []struct {
		name, text string
		files      map[string]fleet.ImageFile
		failed     error
		policy     string
		want       []string // files that are asked for
		service    string
		part       string // of a warning, or of the reason
		code       fleet.Code
	}{
		{name: "a name elsewhere needs no file", text: plainApp, service: "cart"},
		{name: "without one the image's agent.config is wanted", text: with(""), want: []string{config}, service: "cart", part: config + " of image " + image + " was not read (the registry was not asked)"},
		{name: "and counts", text: with(""), files: map[string]fleet.ImageFile{config: {Found: true, Text: "agent.service_name=${SW_AGENT_NAME:carts}\n"}}, service: "carts"},
		{name: "a stock file has no name of its own", text: with(""), files: map[string]fleet.ImageFile{config: {Found: true, Text: stock}}, service: "cart"},
		{name: "nor has an image without the file", text: with(""), files: map[string]fleet.ImageFile{config: {}}, service: "cart"},
		{name: "a file that lies too deep is said", text: with(""), files: map[string]fleet.ImageFile{config: {Unread: "it lies deep"}}, service: "cart", part: "was not read (it lies deep)"},
		{name: "an image that does not answer is no image without a name", text: with(""), failed: errors.New("503"), code: fleet.CodeImageUnread, part: "cannot be read: 503"},
		{name: "a name that is the workload's whatever it was", text: with(""), policy: "workload", service: "cart"},
		{name: "a volume hides the image's file", text: strings.Replace(with(""), "        env:\n", mount, 1), service: "cart"},
		{name: "a file that an option names", text: with(" -Dskywalking_config=/app/sw.config"), want: []string{"/app/sw.config"}, code: fleet.CodeConfigFile, part: "which was not read"},
		{name: "and is read", text: with(" -Dskywalking_config=/app/sw.config"), files: map[string]fleet.ImageFile{"/app/sw.config": {Found: true, Text: "agent.service_name=carts"}}, service: "carts"},
		{
			name: "and is not there", text: with(" -Dskywalking_config=/app/sw.config"), files: map[string]fleet.ImageFile{"/app/sw.config": {}},
			code: fleet.CodeConfigFile, part: "/app/sw.config, which image " + image + " has not",
		},
		{
			name: "an argument file", text: words(`java, "@/app/opts", "-javaagent:/skywalking/skywalking-agent.jar", -jar, /a.jar`), want: []string{"/app/opts", config},
			code: fleet.CodeConfigFile, part: "@/app/opts, which was not read",
		},
		{
			name: "an argument file that is read", text: words(`java, "@/app/opts", "-javaagent:/skywalking/skywalking-agent.jar", -jar, /a.jar`), service: "carts",
			files: map[string]fleet.ImageFile{"/app/opts": {Found: true, Text: "-Dskywalking.agent.service_name=carts"}, config: {}}, part: "stands in argument file @/app/opts of the image and stays",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			scanned, _ := scan(t, map[string]string{"cart.yaml": tt.text})
			in := Input{Config: settings(), Scan: scanned, Payload: payload, Files: map[string]map[string]fleet.ImageFile{image: tt.files}}
			in.Config.Spec.Options.ServiceName = tt.policy
			if tt.failed != nil {
				in.Failed = map[string]error{image: tt.failed}
			}
			p := Make(in)
			w := p.Workloads[0]
			if diff := cmp.Diff(tt.want, WantedFiles(in, p, p.Workloads, true)[image]); diff != "" {
				t.Errorf("wanted (-want +got):\n%s", diff)
			}
			in.Offline = true
			if got := WantedFiles(in, p, p.Workloads, true); len(got) > 0 {
				t.Errorf("offline: %v", got)
			}
			var messages []string
			for _, warning := range w.Warnings {
				messages = append(messages, warning.Message)
			}
			if tt.code != "" {
				if w.Action != fleet.ActionBlocked || w.Reason.Code != tt.code {
					t.Fatalf("%s %+v", w.Action, w.Reason)
				}
				messages = append(messages, w.Reason.Message)
			} else if w.Action != fleet.ActionMigrate || len(w.Services) != 1 || w.Services[0] != tt.service {
				t.Fatalf("%s %+v, services %q, want %q", w.Action, w.Reason, w.Services, tt.service)
			}
			if all := strings.Join(messages, "\n"); !strings.Contains(all, tt.part) || tt.part == "" && strings.Contains(all, "not read") {
				t.Errorf("messages %q, want %q", messages, tt.part)
			}
		})
	}
}
