package bench_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing/object"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/otelshift/otelshift/pkg/fleet"
	"github.com/otelshift/otelshift/pkg/gitops"
)

// role makes the test binary another program: the one that measures, or one of
// those that are measured.
const role = "OTELSHIFT_BENCH_ROLE"

func TestMain(m *testing.M) {
	what := os.Getenv(role)
	if what == "" {
		os.Exit(m.Run())
	}
	if err := act(what, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func act(what string, args []string) error {
	if what == "measure" {
		return measure(args)
	}
	url, dir := args[0], args[1]
	files, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	switch what {
	case "ours":
		return ours(url, 1, files)
	case "batches":
		return ours(url, 100, files)
	case "go-git":
		return goGit(url, dir, files, git.AddOptions{SkipStatus: true})
	case "go-git-plain":
		return goGit(url, dir, files, git.AddOptions{})
	}
	return errors.New("unknown role " + what)
}

// cost of a program and of all that it started.
type cost struct {
	CPU, Wall time.Duration
	Peak      float64 // MiB, of the largest process
}

// measure runs a program and prints what it cost. It stands between the
// benchmark and the program because Linux lets a new process inherit the peak of
// the one that starts it, and the benchmark's own is large.
func measure(args []string) error {
	if err := os.Unsetenv(role); err != nil {
		return err
	}
	if next := os.Getenv(role + "_NEXT"); next != "" {
		if err := os.Setenv(role, next); err != nil {
			return err
		}
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	c := cost{CPU: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), Wall: time.Since(began)}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		c.Peak = float64(usage.Maxrss) / 1024 // KiB on Linux
	}
	return json.NewEncoder(os.Stdout).Encode(c)
}

// program is what is measured: a role of this binary, or another binary.
type program struct {
	role string // empty: args[0] is a program
	args []string
	env  []string
}

func (p program) cost(b *testing.B) cost {
	b.Helper()
	if runtime.GOOS != "linux" {
		b.Skip("needs Linux's measure of memory")
	}
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	args := p.args
	if p.role != "" {
		args = append([]string{self}, args...)
	}
	cmd := exec.CommandContext(b.Context(), self, args...)
	cmd.Env = append(append(os.Environ(), p.env...), role+"=measure", role+"_NEXT="+p.role)
	cmd.Stderr = &tail{}
	out, err := cmd.Output()
	if err != nil {
		b.Fatalf("%s %v: %v\n%s", p.role, p.args, err, cmd.Stderr)
	}
	var c cost
	if err := json.Unmarshal(out, &c); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return c
}

// tail keeps the end of what a program says.
type tail struct{ text []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-4000):]
	return len(p), nil
}

func (t *tail) String() string { return string(t.text) }

// ours clones, and for each batch reads ten files, edits them and commits; then
// it pushes all branches together.
func ours(url string, batches, files int) error {
	ctx := context.Background()
	r, err := gitops.New(gitops.Options{
		URL: url, Branch: "main", Author: gitops.Author{Name: "bot", Email: "bot@example.com"},
		Auth: func(context.Context) (string, string, error) { return "x-access-token", botToken, nil },
	})
	if err != nil {
		return err
	}
	c, err := r.Clone(ctx)
	if err != nil {
		return err
	}
	p, ok := c.Files.(gitops.Prefetcher)
	if !ok {
		return errors.New("files cannot be fetched together")
	}
	var updates []fleet.RefUpdate
	for n := range batches {
		change := edits(files)
		if err := p.Prefetch(ctx, fleet.SortedKeys(change)); err != nil {
			return err
		}
		for name, text := range change {
			change[name] = fmt.Appendf(text, "# batch %d\n", n)
		}
		revision, err := r.Commit(ctx, fleet.CommitSpec{Base: c.Revision, Message: "edit ten files", Files: change})
		if err != nil {
			return err
		}
		updates = append(updates, fleet.RefUpdate{Branch: fmt.Sprintf("ours/%d-%d", batches, n), New: revision})
	}
	results, err := r.Push(ctx, updates)
	if err != nil {
		return err
	}
	for _, result := range results {
		err = errors.Join(err, result.Err)
	}
	return err
}

// goGit does the same with go-git's own clone, worktree, index and push.
func goGit(url, dir string, files int, how git.AddOptions) error {
	auth := &githttp.BasicAuth{Username: "x-access-token", Password: botToken}
	repo, err := git.PlainClone(dir, false, &git.CloneOptions{URL: url, Auth: auth, Depth: 1, SingleBranch: true, Tags: git.NoTags})
	if err != nil {
		return err
	}
	tree, err := repo.Worktree()
	if err != nil {
		return err
	}
	for name, text := range edits(files) {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return err
		}
		how.Path = name
		if err := tree.AddWithOptions(&how); err != nil {
			return err
		}
	}
	who := &object.Signature{Name: "bot", Email: "bot@example.com", When: time.Now()}
	hash, err := tree.Commit("edit ten files", &git.CommitOptions{Author: who})
	if err != nil {
		return err
	}
	to := config.RefSpec(fmt.Sprintf("%s:refs/heads/go-git/%s", hash, hash))
	return repo.Push(&git.PushOptions{Auth: auth, RefSpecs: []config.RefSpec{to}, Progress: io.Discard})
}
