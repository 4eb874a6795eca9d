package manifest

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/javaagent"
	"github.com/otelshift/otelshift/pkg/kyamlfn"
	"github.com/otelshift/otelshift/pkg/yamledit"
)

// facts is what one file holds, without its tree.
type facts struct {
	file         string
	workloads    []fleet.Workload
	configMaps   []configMap
	secrets      []secret
	declared     []declaration // all ConfigMaps
	consumers    []consumer
	namespaces   map[string]map[string]string // name -> labels
	rollouts     []rollout
	applications []application
	reasons      []fleet.FileReason
	mentions     []mention
	resources    []Resource
	policies     []Policy
	foreign      bool                         // something else says where pods may send to
	annotations  map[string]map[string]string // of namespaces
	template     bool                         // "{{" stands somewhere
	seed         bool                         // a needle stands somewhere
	loads        bool                         // Helm values that load an agent
	helm         []helmSource
	sets         []objectIn // ApplicationSets
	makes        bool       // it is a template that makes Applications
	// helmfileReleases says that it is a helmfile.
	helmfileReleases bool
	carried          []carried
	git              []gitSource // Flux's
	fluxCharts       []fluxChart
	// kustomization is set for a kustomization's file.
	kustomization *kustomization
}

// configMap is a ConfigMap that holds an agent's flag or SW_* variables; only
// such entries are kept.
type configMap struct {
	name, namespace string
	data            map[string]fleet.Value
	origin          fleet.Origin // of the object; Field is empty
	blocked         *fleet.Reason
}

// secret is a Secret whose entries named in flags load SkyWalking. Values are
// never kept.
type secret struct {
	name, namespace string
	flags           map[string]bool
	file            string
}

// rollout is an Argo Rollout that runs the pod template of another workload.
type rollout struct {
	namespace, kind, name string
	replicas              int
}

// parseFacts reads a file. It keeps nothing of data.
func parseFacts(name string, data []byte, limits yamledit.Limits) facts {
	out := facts{file: name, namespaces: map[string]map[string]string{}, annotations: map[string]map[string]string{}, template: bytes.Contains(data, []byte("{{")), makes: makesApplications(name, data)}
	file, err := yamledit.Parse(name, data, limits)
	if err != nil {
		out.unreadable(data, err)
		return out
	}
	for _, d := range file.Documents() {
		if console(data, d) {
			out.consoleFile(data, d)
			return out
		}
	}
	for _, d := range file.Documents() {
		text := data[d.Start:d.End]
		if d.Template || d.Err != nil {
			out.brokenDocument(name, data, text, d)
		}
		if isKustomization(name) && d.Node == nil && d.Err != nil && !d.Template {
			out.kustomization = brokenKustomization(name, text, d.Err)
		}
		if d.Node == nil || d.Template {
			continue
		}
		objects := []*yaml.Node{d.Node}
		item := -1
		if list := kyamlfn.List(d.Node); list != nil {
			objects, item = list, 0
		}
		for _, object := range objects {
			out.mentioned(file, d, object, item)
			out.object(file, d, object, item)
			if item >= 0 {
				item++
			}
		}
	}
	out.brokenNeighbours(file, data)
	return out
}

// entryLine is how a line of YAML's structure begins, or one of a merge that
// was left half done.
var entryLine = regexp.MustCompile(`^([ \t#{}\[\]"'%&!|>?,-]|\.\.\.|<<|=======|[\w./$-]+[ \t]*:([ \t]|$))`)

func inTemplates(name string) bool {
	return strings.HasPrefix(name, "templates/") || strings.Contains(name, "/templates/")
}

// object reads one Kubernetes object.
func (f *facts) object(file *yamledit.File, d yamledit.Document, object *yaml.Node, item int) {
	kind, version := field(object, "kind"), field(object, "apiVersion")
	if isKustomization(f.file) && !strings.HasPrefix(version, fluxKustomizations) {
		f.kustomization = readKustomization(file, object)
		return
	}
	if kind == "" || version == "" {
		f.values(file, object)
		return
	}
	var encrypted *fleet.Reason
	if d.Err != nil {
		encrypted = &fleet.Reason{
			Code: fleet.Code(d.Err.Code), Message: d.Err.Message,
			Place: fleet.Place{File: f.file, Line: d.Err.Line, Column: d.Err.Column},
		}
	}
	metadata := child(object, "metadata")
	switch {
	case kind == "ConfigMap" && version == "v1":
		f.declared = append(f.declared, declaration{field(metadata, "namespace"), field(metadata, "name"), f.file, d.Index, item})
		if c, ok := readConfigMap(file, object, d.Index, item); ok {
			c.blocked = encrypted
			f.configMaps = append(f.configMaps, c)
		}
		return
	case kind == "Secret" && version == "v1":
		if s, ok := readSecret(object); ok {
			s.file = f.file
			f.secrets = append(f.secrets, s)
		}
		return
	case kind == "Namespace" && version == "v1":
		f.namespaces[field(metadata, "name")] = texts(child(metadata, "labels"))
		f.annotations[field(metadata, "name")] = texts(child(metadata, "annotations"))
		return
	case kind == "Instrumentation" && strings.HasPrefix(version, "opentelemetry.io/"), kind == "SwAgent" && strings.HasPrefix(version, "operator.skywalking.apache.org/"):
		f.resources = append(f.resources, readResource(file, object, kind))
		return
	case kind == "NetworkPolicy" && version == "networking.k8s.io/v1":
		f.policy(file, d, object, item)
		return
	case isolating(kind, object):
		f.foreign = true
	case kind == "Rollout":
		if r, ok := readRollout(object); ok {
			f.rollouts = append(f.rollouts, r)
		}
	case kind == "Application":
		a := applicationObject{file: file, object: object, objectIn: objectIn{f.file, d.Index, item}}
		if metadata != nil {
			a.home = place(file, first(metadata))
		}
		f.applications = append(f.applications, a.sources()...)
		f.helm = append(f.helm, a.helm()...)
	case kind == "ApplicationSet" && strings.HasPrefix(version, "argoproj.io/"):
		f.sets = append(f.sets, objectIn{f.file, d.Index, item})
	case kind == "Kustomization" && strings.HasPrefix(version, fluxKustomizations):
		f.applications = append(f.applications, fluxKustomization(file, object, d.Index, item))
	case kind == "GitRepository" && strings.HasPrefix(version, fluxSources):
		f.git = append(f.git, gitSource{field(metadata, "namespace"), field(metadata, "name"), field(child(object, "spec"), "url")})
	case kind == "HelmChart" && strings.HasPrefix(version, fluxSources):
		c := readFluxChart(child(object, "spec"), field(metadata, "namespace"), place(file, first(object)))
		c.namespace, c.name = field(metadata, "namespace"), field(metadata, "name")
		f.fluxCharts = append(f.fluxCharts, c)
	case kind == "HelmRelease":
		s := helmRelease(object, place(file, first(object)), d.Index, item)
		if encrypted != nil {
			s.reason = encrypted
		}
		f.helm = append(f.helm, s)
	}
	w, ok := kyamlfn.Read(object, d.Node, f.file, file.Position)
	if !ok {
		f.carrier(file, object, kind)
		f.embeds(file, object, kind)
		f.consumes(file, object, kind)
		return
	}
	w.Document, w.Item = d.Index, item
	each(w, func(v fleet.Value) {
		if v.At != nil { // an anchor that several containers repeat
			v.At.Document, v.At.Item = d.Index, item
		}
	})
	if encrypted != nil {
		w.Blocked = encrypted
	}
	f.workloads = append(f.workloads, w)
}

// readRollout reads a Rollout that scales another workload's pod template: that
// workload's own replicas are zero then.
func readRollout(object *yaml.Node) (rollout, bool) {
	ref := child(child(object, "spec"), "workloadRef")
	if ref == nil {
		return rollout{}, false
	}
	replicas := 1
	if n := child(child(object, "spec"), "replicas"); n != nil {
		replicas = -1
		if n.Kind == yaml.ScalarNode {
			if i, err := parseInt(n.Value); err == nil {
				replicas = i
			}
		}
	}
	return rollout{
		namespace: field(child(object, "metadata"), "namespace"), kind: field(ref, "kind"), name: field(ref, "name"), replicas: replicas,
	}, true
}

func readConfigMap(file *yamledit.File, object *yaml.Node, document, item int) (configMap, bool) {
	out, ok := configMapOf(object, func(n *yaml.Node) fleet.Place { return place(file, n) })
	out.origin = fleet.Origin{Place: place(file, first(object)), Document: document, Item: item}
	return out, ok
}

// configMapOf keeps the entries of a ConfigMap that matter.
func configMapOf(object *yaml.Node, place func(*yaml.Node) fleet.Place) (configMap, bool) {
	metadata := child(object, "metadata")
	out := configMap{name: field(metadata, "name"), namespace: field(metadata, "namespace"), data: map[string]fleet.Value{}}
	data := child(object, "data")
	if data == nil || data.Kind != yaml.MappingNode {
		return out, false
	}
	for i := 0; i+1 < len(data.Content); i += 2 {
		key, value := data.Content[i].Value, data.Content[i+1]
		if value.Kind != yaml.ScalarNode {
			if value.Kind == yaml.AliasNode && loadsAgent(key, value.Alias.Value) {
				out.data[key] = fleet.Value{Text: value.Alias.Value, Field: "data" + bracket(key), Place: place(value)}
				out.blocked = &fleet.Reason{Code: fleet.CodeAlias, Message: "the ConfigMap's entry is an alias", Place: place(value)}
			}
			continue
		}
		if bears(key, value.Value) || agentConfig(key, value.Value) {
			out.data[key] = fleet.Value{Text: value.Value, Field: "data" + bracket(key), Place: place(value)}
			if value.Anchor != "" {
				out.blocked = &fleet.Reason{Code: fleet.CodeAlias, Message: "the ConfigMap's entry is an anchor", Place: place(value)}
			}
		}
	}
	return out, len(out.data) > 0
}

// agentConfig reports the text of SkyWalking's configuration file.
func agentConfig(key, text string) bool {
	return key == "agent.config" || strings.Contains(text, "\n") && agentSetting.MatchString(text)
}

// agentSetting is a line of agent.config that every such file has.
var agentSetting = regexp.MustCompile(`(?m)^[ \t]*(agent\.service_name|agent\.namespace|collector\.backend_service)[ \t]*[=:]`)

// bears reports an entry that configures or loads an agent.
func bears(key, text string) bool {
	return strings.HasPrefix(key, "SW_") || strings.HasPrefix(key, "OTEL_") || javaagent.CarriesOptions(text) || loadsAgent(key, text)
}

// loadsAgent reports a text that loads an agent that matters here.
func loadsAgent(variable, text string) bool {
	return slices.ContainsFunc(javaagent.Agents(text, javaagent.DialectOf(variable)), func(f javaagent.Flag) bool {
		return f.Kind != javaagent.Other
	})
}

func readSecret(object *yaml.Node) (secret, bool) {
	metadata := child(object, "metadata")
	out := secret{name: field(metadata, "name"), namespace: field(metadata, "namespace"), flags: map[string]bool{}}
	for _, section := range []string{"stringData", "data"} {
		data := child(object, section)
		if data == nil || data.Kind != yaml.MappingNode {
			continue
		}
		for i := 0; i+1 < len(data.Content); i += 2 {
			key, text := data.Content[i].Value, data.Content[i+1].Value
			if section == "data" {
				decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
				if err != nil {
					continue
				}
				text = string(decoded)
			}
			for _, flag := range javaagent.Agents(text, javaagent.DialectOf(key)) {
				if flag.Kind == javaagent.SkyWalking {
					out.flags[key] = true
				}
			}
		}
	}
	return out, len(out.flags) > 0
}

// values reads a document that is no Kubernetes object: a Helm values file, or
// something that is no manifest at all.
func (f *facts) values(file *yamledit.File, root *yaml.Node) {
	if root.Kind != yaml.MappingNode {
		return
	}
	if releases := child(root, "releases"); releases != nil && releases.Kind == yaml.SequenceNode {
		f.helmfile(file, releases)
		return
	}
	if !valuesFile(f.file) { // an Application may name it
		f.loads = f.loads || marked(root)
		return
	}
	yamledit.Walk(root, func(p yamledit.Path, n *yaml.Node) bool {
		if n.Kind != yaml.ScalarNode || len(p) == 0 {
			return true
		}
		at := place(file, n)
		last := p[len(p)-1].Key
		if len(valueAgents("", n.Value)) > 0 || javaagent.IsSkyWalkingVariable(last) || last == "name" && javaagent.IsSkyWalkingVariable(n.Value) {
			f.loads = true
			return true
		}
		if strings.Contains(n.Value, "-javaagent:") && strings.Contains(n.Value, "{{") && strings.Contains(strings.ToLower(n.Value), "skywalking") {
			f.reasons = append(f.reasons, fleet.FileReason{File: f.file, Line: at.Line, Reason: fleet.Reason{
				Code: fleet.CodeHelmTemplate, Place: at, Message: "the Helm value " + p.String() + " holds a template, {{ … }}, which the chart fills in",
			}})
			return true
		}
		return true
	})
}

// helmfile notes the flags that a helmfile's releases carry, in case that no
// release stands for them.
func (f *facts) helmfile(file *yamledit.File, releases *yaml.Node) {
	for _, release := range releases.Content {
		release = resolve(release)
		if field(merged(release), "chart") == "" {
			continue
		}
		f.helmfileReleases = true
		yamledit.Walk(release, func(p yamledit.Path, n *yaml.Node) bool {
			if n.Kind != yaml.ScalarNode || !strings.Contains(n.Value, "-javaagent:") || !javaagent.HasSkyWalking(n.Value) {
				return true
			}
			at := place(file, n)
			f.carried = append(f.carried, carried{field: p.String(), FileReason: fleet.FileReason{File: f.file, Line: at.Line, Reason: fleet.Reason{
				Code: fleet.CodeUnsupportedForm, Place: at,
				Message: "release " + field(release, "name") + " of the helmfile loads SkyWalking at " + p.String() + ", in a form that is not understood",
			}}})
			return true
		})
	}
}

// valuesFile reports a name that Helm values usually have; everything else
// that is no Kubernetes object (compose files, steps of a pipeline) is not
// looked at.
func valuesFile(name string) bool {
	base := strings.ToLower(path.Base(name))
	return strings.Contains(base, "values") || strings.Contains("/"+strings.ToLower(path.Dir(name))+"/", "/values/")
}

// carrier notes an object without a pod template that carries values which
// load SkyWalking and are never edited: an ApplicationSet's template, say.
func (f *facts) carrier(file *yamledit.File, object *yaml.Node, kind string) {
	switch kind {
	case "ApplicationSet", "HelmChart":
	default:
		return
	}
	metadata := child(object, "metadata")
	yamledit.Walk(object, func(p yamledit.Path, n *yaml.Node) bool {
		if n.Kind != yaml.ScalarNode || !strings.Contains(n.Value, "-javaagent:") || !javaagent.HasSkyWalking(n.Value) {
			return true
		}
		at := place(file, n)
		f.carried = append(f.carried, carried{field: p.String(), FileReason: fleet.FileReason{File: f.file, Line: at.Line, Reason: fleet.Reason{
			Code: fleet.CodeUnsupportedForm, Place: at,
			Message: kind + " " + field(metadata, "name") + " loads SkyWalking at " + p.String() + "; values in it are not edited",
		}}})
		return true
	})
}

// embeds notes an object that brings SkyWalking's agent into pods of others, by
// containers in a form of its own: an OpenKruise SidecarSet or a policy of
// Kyverno's, say. What has a pod template, if only as a patch, is none, nor is
// what carries Helm values.
func (f *facts) embeds(file *yamledit.File, object *yaml.Node, kind string) {
	spec := child(object, "spec")
	switch {
	case child(spec, "template") != nil, child(spec, "jobTemplate") != nil, kind == "Pod", kind == "Application", kind == "ApplicationSet", kind == "HelmRelease":
		return
	}
	metadata := child(object, "metadata")
	yamledit.Walk(object, func(p yamledit.Path, n *yaml.Node) bool {
		if len(p) == 0 || n.Kind != yaml.SequenceNode || p[len(p)-1].Key != "initContainers" && p[len(p)-1].Key != "containers" {
			return true
		}
		for _, item := range n.Content {
			c := resolve(item)
			image := child(c, "image")
			if image == nil || !kyamlfn.AgentImage(image.Value) {
				continue
			}
			at := place(file, image)
			f.carried = append(f.carried, carried{field: p.String(), FileReason: fleet.FileReason{File: f.file, Line: at.Line, Reason: fleet.Reason{
				Code: fleet.CodeUnsupportedForm, Place: at, Message: fmt.Sprintf(
					"%s %s brings SkyWalking's agent into pods, by container %s of %s: it is not edited; change it by hand, when no pod that it reaches loads SkyWalking any more",
					kind, field(metadata, "name"), field(c, "name"), p),
			}}})
		}
		return true
	})
}

func place(file document, n *yaml.Node) fleet.Place {
	line, column := file.Position(n)
	return fleet.Place{File: file.Name(), Line: line, Column: column}
}
