// Package forge is a GitHub in a box, on loopback: a REST subset under /api/v3
// (as on GitHub Enterprise Server), one GraphQL mutation, git's smart HTTP in
// front of a real bare repository, and a page per pull request. Merging really
// merges the bare repository, pushing moves pull request heads, and
// refs/pull/N/head outlives its branch.
//
// It needs the git program, with its http-backend, and nothing else. It never
// listens on anything but 127.0.0.1, and it forgets everything when closed.
//
//	f, err := forge.Start(ctx, forge.Options{
//		Owner: "acme", Repo: "deployments", Now: time.Now,
//		Files: map[string][]byte{"README.md": []byte("hello\n")},
//		Users: []forge.User{
//			{Login: "otelshift-bot", Token: "bot-token", Role: forge.Write},
//			{Login: "ada", Token: "ada-token", Role: forge.Admin},
//		},
//	})
//	defer f.Close()
//	f.CloneURL() // http://127.0.0.1:41237/acme/deployments.git
package forge
