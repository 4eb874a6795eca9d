// Package survey looks at a manifest repository before there is a
// configuration, and says what a first one should say: where agents are
// loaded, which registries, environments, sidecars and name labels there are,
// what Argo CD deploys. It counts and never decides what may be changed:
// planning reads the repository again, by the rules.
//
//	s, err := survey.Look(os.DirFS("."))
//	config := survey.Configuration(s, "https://github.com/acme/deployments.git", "main")
package survey
