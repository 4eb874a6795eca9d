package survey

import (
	"fmt"
	"slices"
	"strings"
)

// defaultKinds are changed without being asked for; config.Default.
func defaultKinds() []string {
	return []string{"Deployment", "StatefulSet", "DaemonSet", "Rollout", "CloneSet"}
}

// Configuration writes a first otelshift.yaml with comments: what was found is
// set, what has to be decided is said. URL and branch may be empty.
func Configuration(s Survey, url, branch string) []byte {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Written by \"otelshift init\" after looking at %s.", plural(s.Files, "YAML file"))
	line("# \"otelshift config validate -o yaml\" prints every default that is not said here.")
	line("apiVersion: otelshift.dev/v1alpha1")
	line("kind: Migration")
	line("metadata:")
	line("  name: skywalking-to-otel")
	line("spec:")
	line("  repository:")
	if url == "" {
		line("    url: \"\" # set this: the repository that pull requests go to")
	} else {
		line("    url: %s", quote(url))
	}
	if branch != "" {
		line("    branch: %s", quote(branch))
	}
	s.workloads(line)
	line("  agent:")
	line("    version: 2.20.0")
	line("  options:")
	if len(s.Endpoints) > 0 {
		line("    endpoint: %s # seen in %s", quote(s.Endpoints[0].Name), plural(s.Endpoints[0].Seen, "container"))
	} else {
		line("    endpoint: \"\" # set this: the collector, for example http://otel-collector.observability:4318")
	}
	if s.SkyWalking == 0 || s.Signs > 0 {
		line("  image:")
		line("    # %s: only an image can say whether it loads an agent.", signs(s))
		line("    inspect: all # signs, once the first plan has shown what there is")
	}
	line("  batch:")
	line("    first: 1 # the canary")
	line("    size: 10")
	s.waves(line)
	if s.CodeOwners == "" {
		line("  # No CODEOWNERS file was found, so nobody is asked for a review by path.")
		line("  # pullRequest:")
		line("  #   teamReviewers: [platform]")
	}
	line("  verify:")
	if deployed := slices.Concat(s.Applications, s.ApplicationSets); len(deployed) > 0 {
		line("    argocd:")
		line("      enabled: auto # %s", s.ArgoCD())
		if namespace, _, _ := strings.Cut(deployed[0], "/"); namespace != "" {
			line("      namespace: %s", quote(namespace))
		}
	}
	line("    gate: 5m # healthy this long: the next batch may be proposed")
	line("    soak: 1h # healthy this long: verified")
	return []byte(b.String())
}

// ArgoCD counts what Argo CD deploys by: "2 Applications, 1 ApplicationSet".
func (s Survey) ArgoCD() string {
	return plural(len(s.Applications), "Application") + ", " + plural(len(s.ApplicationSets), "ApplicationSet")
}

func (s Survey) workloads(line func(string, ...any)) {
	var options []string
	var further []string
	for _, k := range s.Kinds {
		if !slices.Contains(defaultKinds(), k.Name) {
			further = append(further, k.Name)
		}
	}
	if len(further) > 0 {
		slices.Sort(further)
		options = append(options, fmt.Sprintf("    kinds: [%s] # %s are not changed unless named", strings.Join(append(defaultKinds(), further...), ", "), strings.Join(further, ", ")))
	}
	var logs []string
	for _, c := range s.Sidecars {
		switch {
		case c.Name == "istio-proxy" && c.Seen >= s.SkyWalking:
			options = append(options, "    requireSidecar: istio-proxy # every workload with SkyWalking is in the mesh")
		case c.Name == "istio-proxy":
			options = append(options, fmt.Sprintf("    # requireSidecar: istio-proxy # only the %d of %d workloads that are in the mesh", c.Seen, s.SkyWalking))
		case !slices.Contains([]string{"istio-init", "filebeat", "fluent-bit"}, c.Name):
			logs = append(logs, c.Name)
		}
	}
	if len(logs) > 0 {
		slices.Sort(logs)
		options = append(options, fmt.Sprintf("    ignoreContainers: [istio-proxy, istio-init, filebeat, fluent-bit, %s]", strings.Join(logs, ", ")))
	}
	if len(s.NameLabels) > 0 {
		n := s.NameLabels[0]
		options = append(options, fmt.Sprintf("    nameLabel: %s # on %d of %d", quote(n.Name), n.Seen, s.SkyWalking))
	}
	if len(options) == 0 {
		return
	}
	line("  workloads:")
	for _, o := range options {
		line("%s", o)
	}
}

func (s Survey) waves(line func(string, ...any)) {
	var staged []Environment
	for _, e := range s.Environments {
		if e.Stage > 0 {
			staged = append(staged, e)
		}
	}
	if len(staged) < 2 {
		if len(s.Environments) > 1 {
			line("    # Folders that look like environments; name them in the order that changes travel:")
			line("    # waves:")
			for _, e := range s.Environments {
				line("    #   - {name: %s, include: [%s]}", quote(e.Name), quote(e.Include))
			}
		}
		return
	}
	off := ""
	if s.Split > 0 {
		off = "# "
		line("    # Waves would have each environment wait until the one before has soaked. They are off, because")
		line("    # %s.", s.SplitBy())
		line("    # As it is, all environments of one base move in one pull request. With waves these workloads are blocked (reason")
		line("    # shared) until each overlay says for itself what the base says now; the plan prints the patch.")
	} else {
		line("    # Environments in order: each waits until the one before has soaked.")
	}
	line("    %swaves:", off)
	seen := map[string]bool{}
	for _, e := range staged {
		if seen[e.Name] {
			continue
		}
		seen[e.Name] = true
		var includes []string
		for _, other := range staged {
			if other.Name == e.Name {
				includes = append(includes, quote(other.Include))
			}
		}
		line("    %s  - {name: %s, include: [%s]}", off, quote(e.Name), strings.Join(includes, ", "))
	}
}

// SplitBy says which workloads waves would part.
func (s Survey) SplitBy() string {
	if s.Split == 1 {
		return "they would part 1 workload from another environment's, with which it shares a base or values"
	}
	return fmt.Sprintf("they would part %d workloads from another environment's, with which they share a base or values", s.Split)
}

func signs(s Survey) string {
	if s.Signs == 0 {
		return "No manifest loads SkyWalking"
	}
	return plural(s.Signs, "workload") + " with signs of SkyWalking only"
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// quote writes a text as a YAML scalar; in double quotes unless it is made of
// letters that mean nothing to YAML.
func quote(s string) string {
	plain := s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._/-", r)
	})
	if plain && s[0] > '9' && !slices.Contains([]string{"true", "false", "yes", "no", "on", "off", "null", "y", "n"}, strings.ToLower(s)) {
		return s
	}
	return fmt.Sprintf("%q", s)
}
