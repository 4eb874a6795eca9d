package forge

import (
	"html/template"
	"net/http"
	"strconv"
	"strings"
)

// indexPage lists what there is, newest first.
func (f *Forge) indexPage(w http.ResponseWriter, r *http.Request) {
	pulls := f.Pulls()
	for i, j := 0, len(pulls)-1; i < j; i, j = i+1, j-1 {
		pulls[i], pulls[j] = pulls[j], pulls[i]
	}
	f.show(w, r, "index", map[string]any{
		"Owner": f.options.Owner, "Repo": f.options.Repo, "Pulls": pulls, "Clone": f.CloneURL(),
	})
}

// diffLine is a line of a diff with its kind for the style sheet.
type diffLine struct{ Kind, Text string }

// threadPage shows one pull request or issue: body, comments, diff.
func (f *Forge) threadPage(w http.ResponseWriter, r *http.Request) {
	number, _ := strconv.Atoi(strings.TrimSuffix(r.PathValue("number"), ".diff"))
	p, found := f.Pull(number)
	if !found {
		http.NotFound(w, r)
		return
	}
	var lines []diffLine
	if !p.Issue {
		diff, err := f.Diff(r.Context(), number)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		if strings.HasSuffix(r.URL.Path, ".diff") {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = w.Write([]byte(diff))
			return
		}
		for line := range strings.Lines(diff) {
			line = strings.TrimSuffix(line, "\n")
			lines = append(lines, diffLine{Kind: diffKind(line), Text: line})
		}
	}
	comments := make([]template.HTML, 0, len(p.Comments))
	for _, body := range p.Comments {
		comments = append(comments, markdown(body))
	}
	f.show(w, r, "thread", map[string]any{
		"Owner": f.options.Owner, "Repo": f.options.Repo, "Pull": p, "Body": markdown(p.Body), "Diff": lines,
		"Comments": comments, "API": f.api("/pulls/%d/merge", number),
	})
}

func diffKind(line string) string {
	switch {
	case strings.HasPrefix(line, "diff "), strings.HasPrefix(line, "+++"), strings.HasPrefix(line, "---"), strings.HasPrefix(line, "index "):
		return "meta"
	case strings.HasPrefix(line, "@@"):
		return "hunk"
	case strings.HasPrefix(line, "+"):
		return "add"
	case strings.HasPrefix(line, "-"):
		return "del"
	}
	return ""
}

func (f *Forge) show(w http.ResponseWriter, _ *http.Request, name string, data any) {
	pages, err := template.New("").Parse(pageTemplates)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	_ = pages.ExecuteTemplate(w, name, data) // the client may be gone
}

const pageTemplates = `{{define "head"}}<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{{.}}</title><style>
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1f2328;background:#fff}
a{color:#0969da}table{border-collapse:collapse;display:block;overflow-x:auto}td,th{border:1px solid #d1d9e0;padding:.3rem .6rem;text-align:left}
pre{overflow-x:auto;background:#f6f8fa;padding:.8rem;border-radius:6px;font-size:13px}code{background:#f6f8fa;padding:.1rem .3rem;border-radius:4px}
pre code{padding:0}.box{border:1px solid #d1d9e0;border-radius:6px;padding:0 1rem;margin:1rem 0}.chip{display:inline-block;border-radius:1rem;padding:0 .6rem;background:#ddf4ff;font-size:13px}
.open{background:#1a7f37;color:#fff}.merged{background:#8250df;color:#fff}.closed{background:#cf222e;color:#fff}
.add{background:#dafbe1;display:block}.del{background:#ffebe9;display:block}.hunk{color:#8250df;display:block}.meta{font-weight:600;display:block}.ctx{display:block}
blockquote{border-left:4px solid #d1d9e0;margin-left:0;padding-left:1rem;color:#59636e}
@media(prefers-color-scheme:dark){body{background:#0d1117;color:#f0f6fc}pre,code{background:#151b23}.add{background:#12261e}.del{background:#301b1e}.chip{background:#1f3a5f}a{color:#4493f8}td,th,.box{border-color:#3d444d}}
</style></head><body>{{end}}
{{define "index"}}{{template "head" .Repo}}<h1>{{.Owner}}/{{.Repo}}</h1><p><code>git clone {{.Clone}}</code></p>
{{if not .Pulls}}<p>No pull requests yet.</p>{{end}}
<table>{{range .Pulls}}<tr><td>#{{.Number}}</td><td><span class="chip {{.State}}">{{.State}}</span></td>
<td><a href="/{{$.Owner}}/{{$.Repo}}/{{if .Issue}}issues{{else}}pull{{end}}/{{.Number}}">{{.Title}}</a></td><td>{{.Author}}</td>
<td>{{range .Labels}}<span class="chip">{{.}}</span> {{end}}</td></tr>{{end}}</table></body></html>{{end}}
{{define "thread"}}{{template "head" .Pull.Title}}<p><a href="/{{.Owner}}/{{.Repo}}">{{.Owner}}/{{.Repo}}</a></p>
<h1>{{.Pull.Title}} #{{.Pull.Number}}</h1><p><span class="chip {{.Pull.State}}">{{.Pull.State}}</span>
{{range .Pull.Labels}}<span class="chip">{{.}}</span> {{end}}</p>
<p>{{.Pull.Author}}{{if not .Pull.Issue}}: <code>{{.Pull.Branch}}</code> into <code>{{.Pull.Base}}</code>{{end}}
{{if .Pull.Reviewers}}· reviewers: {{range .Pull.Reviewers}}{{.}} {{end}}{{end}}</p>
<div class="box">{{.Body}}</div>{{range .Comments}}<div class="box">{{.}}</div>{{end}}
{{if not .Pull.Issue}}{{if eq .Pull.State "open"}}<p>Merge it as a person:</p>
<pre>curl -X PUT -H "Authorization: Bearer $TOKEN" {{.API}}</pre>{{end}}
<h2>Changes</h2><pre>{{range .Diff}}<span class="{{if .Kind}}{{.Kind}}{{else}}ctx{{end}}">{{.Text}}</span>{{end}}</pre>{{end}}</body></html>{{end}}`
