//go:build e2e && e2e_full

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// shim speaks the part of GitHub's API that the stories use and has Gitea do it.
// It decides nothing about git or pull requests: what merges, what a head is and
// who may push is Gitea's word. It differs from a mapping of names in three
// things, which Gitea's API lacks: the filters of GitHub's list of pull requests,
// the head's name once its branch is gone (Gitea then says refs/pull/N/head),
// and who edited the text of an issue.
type shim struct {
	gitea  *gitea
	path   string // of the repository in Gitea's API
	name   string
	url    string
	writes atomic.Int64 // of the bot that had an effect

	mu    sync.Mutex
	edits map[int][]map[string]any // of issues
}

type fields = map[string]any

func newShim(t *testing.T, g *gitea, name string) *shim {
	t.Helper()
	s := &shim{gitea: g, name: name, path: "/repos/acme/" + name, edits: map[int][]map[string]any{}}
	target, err := url.Parse(g.url)
	if err != nil {
		t.Fatal(err)
	}
	git := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.URL.Path = strings.Replace(r.In.URL.Path, "/acme/deployments.git", "/acme/"+name+".git", 1)
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("/acme/deployments.git/", func(w http.ResponseWriter, r *http.Request) {
		if user, _, _ := r.BasicAuth(); user == "bot" && r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/git-receive-pack") {
			s.writes.Add(1)
		}
		git.ServeHTTP(w, r)
	})
	const api = "/api/v3/repos/acme/deployments"
	mux.HandleFunc("/api/v3/user", s.plain(func(*http.Request) string { return "/user" }))
	mux.HandleFunc(api, s.plain(func(*http.Request) string { return s.path }))
	mux.HandleFunc("GET "+api+"/pulls", s.listPulls)
	mux.HandleFunc("PUT "+api+"/pulls/{number}/merge", s.merge)
	mux.HandleFunc("PUT "+api+"/pulls/{number}/update-branch", s.updateBranch)
	mux.HandleFunc("GET "+api+"/issues", s.listIssues)
	mux.HandleFunc("POST "+api+"/issues", s.createIssue)
	mux.HandleFunc("DELETE "+api+"/issues/{number}/labels/{label}", s.removeLabel)
	// Gitea lets only administrators ask what others may do.
	mux.HandleFunc("GET "+api+"/collaborators/{user}/permission", func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Authorization", "token "+g.tokens["ada"])
		var out fields
		if s.do(w, r, http.MethodGet, s.path+"/collaborators/"+r.PathValue("user")+"/permission", nil, &out) {
			delete(out, "user")
			if out["permission"] == "owner" { // of the organization
				out["permission"] = "admin"
			}
			answer(w, http.StatusOK, out)
		}
	})
	mux.HandleFunc("POST /api/graphql", s.graphql)
	mux.HandleFunc(api+"/", s.plain(func(r *http.Request) string { return s.path + strings.TrimPrefix(r.URL.Path, api) }))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// login is who sends the request.
func (s *shim) login(r *http.Request) string {
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	for login, t := range s.gitea.tokens {
		if t == token {
			return login
		}
	}
	return ""
}

// do has Gitea do something, and tells the client of a failure.
func (s *shim) do(w http.ResponseWriter, r *http.Request, method, path string, body, into any) bool {
	login := s.login(r)
	status, raw, err := s.gitea.call(login, method, path, body, into)
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadGateway)
	case status == http.StatusConflict: // GitHub's word for a second pull request of a branch
		answer(w, http.StatusUnprocessableEntity, fields{"message": "Validation Failed", "errors": []fields{{"message": string(raw)}}})
	case status >= 300:
		answer(w, status, json.RawMessage(raw))
	default:
		if method != http.MethodGet && login == "bot" {
			s.writes.Add(1)
		}
		return true
	}
	return false
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if body != nil {
		_ = json.NewEncoder(w).Encode(body) // the client may be gone
	}
}

// plain maps a request whose path and fields are alike.
func (s *shim) plain(path func(*http.Request) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		raw = bytes.TrimSpace(raw)
		var body any
		switch {
		case len(raw) == 0:
		case raw[0] == '[': // labels, as go-github sends them
			body = fields{"labels": json.RawMessage(raw)}
		default:
			var object fields
			if err := json.Unmarshal(raw, &object); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			if color, ok := object["color"].(string); ok {
				object["color"] = "#" + strings.TrimPrefix(color, "#")
			}
			if label, ok := object["state"].(string); ok && label == "open" {
				object["state"] = "open"
			}
			body = object
			s.remember(r, object)
		}
		to := path(r)
		if r.Method == http.MethodGet {
			q := r.URL.Query()
			q.Set("limit", "50")
			to += "?" + q.Encode()
		}
		var out any
		if !s.do(w, r, r.Method, to, body, nil2(r, &out)) {
			return
		}
		status := map[string]int{http.MethodPost: http.StatusCreated, http.MethodDelete: http.StatusNoContent}[r.Method]
		if strings.HasSuffix(to, "/labels") && strings.Contains(to, "/issues/") {
			status = http.StatusOK
		}
		if status == 0 {
			status = http.StatusOK
		}
		answer(w, status, translate(out))
	}
}

// nil2 wants an answer unless there is none.
func nil2(r *http.Request, into *any) any {
	if r.Method == http.MethodDelete {
		return nil
	}
	return into
}

// translate gives a pull request the name of its head.
func translate(v any) any {
	object, ok := v.(fields)
	if !ok {
		return v
	}
	if _, issue := object["pull_request"]; issue {
		likeGitHub(object)
	}
	head, ok := object["head"].(fields)
	if ok && strings.HasPrefix(fmt.Sprint(head["ref"]), "refs/pull/") {
		head["ref"] = head["label"]
	}
	return object
}

// likeGitHub takes from an issue what GitHub's have in another form or not at all.
func likeGitHub(issue fields) {
	delete(issue, "repository")
	delete(issue, "pull_request") // null
}

// remember keeps who wrote the text of an issue.
func (s *shim) remember(r *http.Request, object fields) {
	body, ok := object["body"].(string)
	parts := strings.Split(r.URL.Path, "/")
	number, err := strconv.Atoi(parts[len(parts)-1])
	if r.Method != http.MethodPatch || !ok || err != nil {
		return
	}
	s.edited(number, s.login(r), body)
}

func (s *shim) edited(number int, login, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.edits[number] = append(s.edits[number], fields{
		"editedAt": time.Now().UTC().Format(time.RFC3339), "diff": body, "editor": fields{"__typename": "User", "login": login},
	})
}

// listPulls has the filters of GitHub's list; Gitea's are fewer.
func (s *shim) listPulls(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	var found []fields
	for page := 1; ; page++ {
		var list []fields
		if !s.do(w, r, http.MethodGet, fmt.Sprintf("%s/pulls?state=all&limit=50&page=%d", s.path, page), nil, &list) {
			return
		}
		for _, p := range list {
			translate(p)
			head, base := p["head"].(fields), p["base"].(fields)
			if state := q.Get("state"); state != "all" && state != "" && p["state"] != state ||
				q.Get("base") != "" && base["ref"] != q.Get("base") ||
				q.Get("head") != "" && "acme:"+fmt.Sprint(head["ref"]) != q.Get("head") {
				continue
			}
			found = append(found, p)
		}
		if len(list) < 50 {
			break
		}
	}
	by := "created_at"
	if q.Get("sort") == "updated" {
		by = "updated_at"
	}
	slices.SortStableFunc(found, func(a, b fields) int {
		n := strings.Compare(fmt.Sprint(a[by]), fmt.Sprint(b[by]))
		if n == 0 {
			n = int(a["number"].(float64) - b["number"].(float64))
		}
		if q.Get("direction") == "desc" {
			n = -n
		}
		return n
	})
	if len(found) > 100 {
		http.Error(w, "the shim knows one page", http.StatusNotImplemented)
		return
	}
	answer(w, http.StatusOK, append([]fields{}, found...))
}

func (s *shim) merge(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Method string `json:"merge_method"`
	}
	if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	path := s.path + "/pulls/" + r.PathValue("number")
	login := s.login(r)
	for try := 0; ; try++ { // 405 while it still looks whether it can
		status, raw, err := s.gitea.call(login, http.MethodPost, path+"/merge", fields{"Do": ask.Method}, nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		if status < 300 {
			break
		}
		if status != http.StatusMethodNotAllowed || try == 50 {
			answer(w, status, json.RawMessage(raw))
			return
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-r.Context().Done():
			return
		}
	}
	var pull fields
	if s.do(w, r, http.MethodGet, path, nil, &pull) {
		answer(w, http.StatusOK, fields{"sha": pull["merge_commit_sha"], "merged": pull["merged"], "message": "Pull Request successfully merged"})
	}
}

func (s *shim) updateBranch(w http.ResponseWriter, r *http.Request) {
	if s.do(w, r, http.MethodPost, s.path+"/pulls/"+r.PathValue("number")+"/update?style=merge", nil, nil) {
		answer(w, http.StatusAccepted, fields{"message": "Updating pull request branch."})
	}
}

func (s *shim) listIssues(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	ask := url.Values{"state": {q.Get("state")}, "labels": {q.Get("labels")}, "type": {"issues"}, "limit": {"50"}}
	var list []fields
	if s.do(w, r, http.MethodGet, s.path+"/issues?"+ask.Encode(), nil, &list) {
		for _, issue := range list {
			likeGitHub(issue)
		}
		answer(w, http.StatusOK, append([]fields{}, list...))
	}
}

// label finds the id that Gitea wants for a name.
func (s *shim) label(w http.ResponseWriter, r *http.Request, name string) (id any, found bool) {
	var labels []fields
	if !s.do(w, r, http.MethodGet, s.path+"/labels?limit=50", nil, &labels) {
		return nil, false
	}
	for _, l := range labels {
		if l["name"] == name {
			return l["id"], true
		}
	}
	answer(w, http.StatusNotFound, fields{"message": "Label does not exist"})
	return nil, false
}

func (s *shim) createIssue(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Title, Body string
		Labels      []string
	}
	if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ids := []any{}
	for _, name := range ask.Labels {
		id, found := s.label(w, r, name)
		if !found {
			return
		}
		ids = append(ids, id)
	}
	var made fields
	if s.do(w, r, http.MethodPost, s.path+"/issues", fields{"title": ask.Title, "body": ask.Body, "labels": ids}, &made) {
		s.edited(int(made["number"].(float64)), s.login(r), ask.Body)
		likeGitHub(made)
		answer(w, http.StatusCreated, made)
	}
}

func (s *shim) removeLabel(w http.ResponseWriter, r *http.Request) {
	id, found := s.label(w, r, r.PathValue("label"))
	if found && s.do(w, r, http.MethodDelete, fmt.Sprintf("%s/issues/%s/labels/%.0f", s.path, r.PathValue("number"), id), nil, nil) {
		answer(w, http.StatusOK, []fields{})
	}
}

// graphql knows who edited an issue; nothing else is asked in these stories.
func (s *shim) graphql(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Query     string
		Variables struct{ Number int }
	}
	if err := json.NewDecoder(r.Body).Decode(&ask); err != nil || !strings.Contains(ask.Query, "userContentEdits(") {
		http.Error(w, "the shim does not know this query", http.StatusNotImplemented)
		return
	}
	s.mu.Lock()
	nodes := slices.Clone(s.edits[ask.Variables.Number])
	s.mu.Unlock()
	slices.Reverse(nodes)
	part := fields{"nodes": append([]fields{}, nodes...)}
	answer(w, http.StatusOK, fields{"data": fields{"repository": fields{"issue": fields{"one": part, "other": part}}}})
}
