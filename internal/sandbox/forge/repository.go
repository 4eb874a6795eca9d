package forge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// repository is the bare repository, worked on by the git program.
type repository struct {
	dir     string
	backend string            // path of git-http-backend
	seen    map[string]string // branches as the forge last saw them
}

// identity is a name and address in a commit.
type identity struct{ name, email string }

func person(u User) identity {
	if u.Name == "" {
		u.Name = u.Login
	}
	if u.Email == "" {
		u.Email = u.Login + "@users.noreply.forge.invalid"
	}
	return identity{name: u.Name, email: u.Email}
}

func newRepository(ctx context.Context, dir string, o Options) (*repository, error) {
	r := &repository{dir: dir}
	execPath, err := r.run(ctx, command{args: []string{"--exec-path"}, outside: true})
	if err != nil {
		return nil, fmt.Errorf("looking for git, which the forge needs: %w", err)
	}
	r.backend = filepath.Join(strings.TrimSpace(execPath), "git-http-backend")
	if _, err := os.Stat(r.backend); err != nil {
		return nil, fmt.Errorf("looking for git's http-backend: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil { //nolint:gosec // no secret in it
		return nil, err
	}
	if _, err := r.run(ctx, command{args: []string{"init", "-q", "--bare", dir}, outside: true}); err != nil {
		return nil, err
	}
	settings := [][2]string{
		{"http.receivepack", "true"},
		{"uploadpack.allowFilter", strconv.FormatBool(!o.NoFilter)},
		{"uploadpack.allowReachableSHA1InWant", "true"},
		{"receive.autogc", "false"},
		{"gc.auto", "0"},
		{"transfer.hideRefs", "refs/internal"},
		{"receive.hideRefs", "refs/pull"},
		{"sandbox.maxrefs", strconv.Itoa(o.MaxRefsPerPush)},
	}
	for _, branch := range o.Protected {
		settings = append(settings, [2]string{"sandbox.protected", "refs/heads/" + branch})
	}
	for _, s := range settings {
		if _, err := r.git(ctx, "config", "--add", s[0], s[1]); err != nil {
			return nil, err
		}
	}
	if _, err := r.git(ctx, "symbolic-ref", "HEAD", "refs/heads/"+o.Branch); err != nil {
		return nil, err
	}
	return r, r.writeHooks()
}

// writeHooks makes git itself refuse what GitHub refuses.
func (r *repository) writeHooks() error {
	hooks := map[string]string{
		"pre-receive": `#!/bin/sh
max=$(git config --get sandbox.maxrefs)
count=$(wc -l)
if [ "$max" -gt 0 ] && [ "$count" -gt "$max" ]; then
	echo "error: GH010: Pushes can not update more than $max branches or tags." >&2
	exit 1
fi
`,
		"update": `#!/bin/sh
git config --get-all sandbox.protected | while read -r pattern; do
	case "$1" in $pattern) exit 1 ;; esac
done || {
	echo "error: GH006: Protected branch update failed for $1." >&2
	echo "error: Changes must be made through a pull request." >&2
	exit 1
}
`,
	}
	for name, script := range hooks {
		path := filepath.Join(r.dir, "hooks", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // no secret in it
			return err
		}
		if err := os.WriteFile(path, []byte(script), 0o755); err != nil { //nolint:gosec // a hook must be executable
			return err
		}
	}
	return nil
}

// command is one call of git.
type command struct {
	args    []string
	stdin   []byte
	env     []string
	outside bool // not in the repository
}

func (r *repository) git(ctx context.Context, args ...string) (string, error) {
	return r.run(ctx, command{args: args})
}

func (r *repository) run(ctx context.Context, c command) (string, error) {
	cmd := exec.CommandContext(ctx, "git", c.args...) //nolint:gosec // arguments are ours
	for _, kv := range cmd.Environ() {
		if !strings.HasPrefix(kv, "GIT_") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_TERMINAL_PROMPT=0", "LC_ALL=C")
	if !c.outside {
		cmd.Env = append(cmd.Env, "GIT_DIR="+r.dir)
	}
	cmd.Env = append(cmd.Env, c.env...)
	cmd.Stdin = bytes.NewReader(c.stdin)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("git %s: %w: %s", c.args[0], err, strings.TrimSpace(problems.String()))
	}
	return out.String(), nil
}

// revision resolves a name to a full commit id, or "" when there is none.
func (r *repository) revision(ctx context.Context, name string) string {
	out, err := r.git(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", name+"^{commit}")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(out)
}

// branches are all branches and their tips.
func (r *repository) branches(ctx context.Context) (map[string]string, error) {
	out, err := r.git(ctx, "for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads")
	if err != nil {
		return nil, err
	}
	tips := map[string]string{}
	for line := range strings.Lines(out) {
		if tip, name, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			tips[name] = tip
		}
	}
	return tips, nil
}

// updateRef moves a ref, compare-and-swap; an empty old is not checked.
func (r *repository) updateRef(ctx context.Context, ref, revision, old string) error {
	args := []string{"update-ref", ref, revision}
	if old != "" {
		args = append(args, old)
	}
	_, err := r.git(ctx, args...)
	return err
}

func (r *repository) isAncestor(ctx context.Context, ancestor, revision string) bool {
	_, err := r.git(ctx, "merge-base", "--is-ancestor", ancestor, revision)
	return err == nil
}

// commitInput is a commit to be made on a branch; a nil file is deleted.
type commitInput struct {
	branch  string
	from    string // revision the commit stands on; empty: the branch's tip
	message string
	author  identity
	when    time.Time
	files   map[string][]byte
}

// commit makes a commit with one git process, whatever the number of files.
func (r *repository) commit(ctx context.Context, in commitInput) (string, error) {
	ref := in.branch
	if !strings.HasPrefix(ref, "refs/") {
		ref = "refs/heads/" + ref
	}
	from := in.from
	if from == "" {
		from = r.revision(ctx, ref)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "commit %s\n", ref)
	stamp := fmt.Sprintf("%s <%s> %d +0000", in.author.name, in.author.email, in.when.Unix())
	fmt.Fprintf(&b, "author %s\ncommitter %s\n", stamp, stamp)
	fmt.Fprintf(&b, "data %d\n%s\n", len(in.message), in.message)
	if from != "" {
		fmt.Fprintf(&b, "from %s\n", from)
	}
	for _, name := range sorted(in.files) {
		content := in.files[name]
		if content == nil {
			fmt.Fprintf(&b, "D %s\n", quotePath(name))
			continue
		}
		fmt.Fprintf(&b, "M 100644 inline %s\ndata %d\n", quotePath(name), len(content))
		b.Write(content)
		b.WriteByte('\n')
	}
	b.WriteString("done\n")
	if _, err := r.run(ctx, command{args: []string{"fast-import", "--quiet", "--done", "--force"}, stdin: b.Bytes()}); err != nil {
		return "", err
	}
	return r.revision(ctx, ref), nil
}

// quotePath is fast-import's quoting for names that need it.
func quotePath(name string) string {
	if strings.ContainsAny(name, "\"\\\n") || strings.HasPrefix(name, " ") {
		return strconv.Quote(name)
	}
	return name
}

// errConflict: the trees cannot be merged without a person.
var errConflict = errors.New("merge conflict")

// mergeTrees merges three trees as git's own merge drivers do, and returns the
// tree. It works on every git since 1.7, in a folder that it removes.
func (r *repository) mergeTrees(ctx context.Context, base, ours, theirs string) (string, error) {
	work, err := os.MkdirTemp("", "otelshift-merge-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work) //nolint:errcheck // a left-over in the temporary folder does no harm
	tree := filepath.Join(work, "tree")
	if err := os.Mkdir(tree, 0o700); err != nil {
		return "", err
	}
	env := []string{"GIT_INDEX_FILE=" + filepath.Join(work, "index"), "GIT_WORK_TREE=" + tree}
	if _, err := r.run(ctx, command{args: []string{"read-tree", "-i", "-m", "--aggressive", base, ours, theirs}, env: env}); err != nil {
		return "", err
	}
	if _, err := r.run(ctx, command{args: []string{"merge-index", "-o", "-q", "git-merge-one-file", "-a"}, env: env}); err != nil {
		return "", fmt.Errorf("%w: %w", errConflict, err)
	}
	out, err := r.run(ctx, command{args: []string{"write-tree"}, env: env})
	return strings.TrimSpace(out), err
}

// commitTree makes a commit of a tree that is there already.
func (r *repository) commitTree(ctx context.Context, tree, message string, parents []string, author, committer identity, authored, committed time.Time) (string, error) {
	args := []string{"commit-tree", tree}
	for _, p := range parents {
		args = append(args, "-p", p)
	}
	out, err := r.run(ctx, command{args: args, stdin: []byte(message), env: []string{
		"GIT_AUTHOR_NAME=" + author.name, "GIT_AUTHOR_EMAIL=" + author.email,
		"GIT_AUTHOR_DATE=" + strconv.FormatInt(authored.Unix(), 10) + " +0000",
		"GIT_COMMITTER_NAME=" + committer.name, "GIT_COMMITTER_EMAIL=" + committer.email,
		"GIT_COMMITTER_DATE=" + strconv.FormatInt(committed.Unix(), 10) + " +0000",
	}})
	return strings.TrimSpace(out), err
}

// Commit is a commit of the repository.
type Commit struct {
	Revision                      string
	Parents                       []string
	AuthorName, AuthorEmail       string
	CommitterName, CommitterEmail string
	AuthorTime, CommitTime        time.Time
	Message                       string
}

// log lists the commits of a range, newest first.
func (r *repository) log(ctx context.Context, args ...string) ([]Commit, error) {
	format := "--format=%H%x00%P%x00%an%x00%ae%x00%cn%x00%ce%x00%at%x00%ct%x00%B%x01"
	out, err := r.git(ctx, append([]string{"log", format}, args...)...)
	if err != nil {
		return nil, err
	}
	var commits []Commit
	for _, entry := range strings.Split(out, "\x01") {
		fields := strings.Split(strings.TrimPrefix(entry, "\n"), "\x00")
		if len(fields) != 9 {
			continue
		}
		authored, _ := strconv.ParseInt(fields[6], 10, 64)
		committed, _ := strconv.ParseInt(fields[7], 10, 64)
		commits = append(commits, Commit{
			Revision: fields[0], Parents: strings.Fields(fields[1]),
			AuthorName: fields[2], AuthorEmail: fields[3], CommitterName: fields[4], CommitterEmail: fields[5],
			AuthorTime: time.Unix(authored, 0).UTC(), CommitTime: time.Unix(committed, 0).UTC(),
			Message: strings.TrimRight(fields[8], "\n") + "\n",
		})
	}
	return commits, nil
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
