// Package gitops reads and writes the manifest repository: it fetches one
// revision into memory, gives it out as an fs.FS, makes commits that are the
// same in every run, and moves branches by the server's own compare-and-swap.
//
// There is no worktree and no index. Where the server offers partial clones
// only the trees are fetched, and the contents of files when they are read;
// elsewhere the whole revision is. History is fetched as commits only, and only
// as deep as a question needs.
//
// It never pushes with force, never changes the base branch, never merges, and
// never writes credentials into an address, an error or a log.
//
//	repo, err := gitops.New(gitops.Options{URL: "https://github.com/acme/deployments.git", Branch: "main"})
//	checkout, err := repo.Clone(ctx)
//	revision, err := repo.Commit(ctx, fleet.CommitSpec{Base: checkout.Revision, Files: files, Message: "migrate cart\n"})
//	results, err := repo.Push(ctx, []fleet.RefUpdate{{Branch: "otelshift/1-cart", New: revision}})
package gitops
