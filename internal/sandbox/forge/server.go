package forge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi" //nolint:gosec // Httpoxy was mended in Go 1.6.3
	"net/url"
	"strconv"
	"strings"
)

// object is a JSON object.
type object map[string]any

// call is one request to the REST API with everything its handler needs; mu
// is held while a handler runs.
type call struct {
	*http.Request
	user *account
	body object
}

// reply is a handler's answer.
type reply struct {
	status int
	body   any
	header map[string]string
	// quiet: nothing changed although the method is not GET.
	quiet bool
}

func ok(body any) reply      { return reply{status: http.StatusOK, body: body} }
func created(body any) reply { return reply{status: http.StatusCreated, body: body} }

// fail is GitHub's error object.
func fail(status int, message string, problems ...object) reply {
	body := object{
		"message": message, "status": strconv.Itoa(status),
		"documentation_url": "https://docs.github.com/rest",
	}
	if len(problems) > 0 {
		body["errors"] = problems
	}
	return reply{status: status, body: body, quiet: true}
}

func notFound() reply { return fail(http.StatusNotFound, "Not Found") }

func invalid(resource, field, code, message string) reply {
	problem := object{"resource": resource, "code": code}
	if field != "" {
		problem["field"] = field
	}
	if message != "" {
		problem["message"] = message
	}
	return fail(http.StatusUnprocessableEntity, "Validation Failed", problem)
}

// broken is an answer for what only a defect of the sandbox explains.
func broken(err error) reply { return fail(http.StatusInternalServerError, err.Error()) }

// endpoint is one operation of the REST API.
type endpoint struct {
	operation  string // GitHub's operation id
	pattern    string // method and path below the repository, or below the root with a leading "//"
	need       Role
	permission string // of a fine-grained token
	handle     func(*call) reply
}

func (f *Forge) routes(git *cgi.Handler) http.Handler {
	mux, web := http.NewServeMux(), http.NewServeMux()
	for _, e := range f.endpoints() {
		method, path, _ := strings.Cut(e.pattern, " ")
		if below, root := strings.CutPrefix(path, "//"); root {
			path = "/api/v3/" + below
		} else {
			path = "/api/v3/repos/{owner}/{repo}" + path
		}
		mux.HandleFunc(method+" "+path, f.rest(e))
	}
	mux.HandleFunc("/api/", f.rest(endpoint{operation: "unknown", handle: func(*call) reply { return notFound() }}))
	mux.HandleFunc("POST /api/graphql", f.rest(endpoint{operation: "graphql", need: Read, handle: f.graphql}))
	web.HandleFunc("GET /{owner}/{repo}/info/refs", f.git(git, "git/info-refs"))
	web.HandleFunc("POST /{owner}/{repo}/git-upload-pack", f.git(git, "git/upload-pack"))
	web.HandleFunc("POST /{owner}/{repo}/git-receive-pack", f.git(git, "git/receive-pack"))
	web.HandleFunc("GET /{$}", f.indexPage)
	web.HandleFunc("GET /{owner}/{repo}", f.indexPage)
	web.HandleFunc("GET /{owner}/{repo}/pull/{number}", f.threadPage)
	web.HandleFunc("GET /{owner}/{repo}/issues/{number}", f.threadPage)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/") {
			mux.ServeHTTP(w, r)
			return
		}
		web.ServeHTTP(w, r)
	})
}

// hooked counts the request and lets the injection hook answer. It returns
// false when the request is dealt with; after is an answer to be given once
// the request had its effect.
func (f *Forge) hooked(w http.ResponseWriter, r *http.Request, operation, login string) (after *Answer, proceed bool) {
	f.hooks.Lock()
	f.requests[operation]++
	hook := f.inject
	f.hooks.Unlock()
	if hook == nil {
		return nil, true
	}
	answer, handled := hook(Request{Request: r, Operation: operation, Login: login})
	switch {
	case !handled:
		return nil, true
	case answer.After:
		return &answer, true
	}
	f.rateHeaders(w, false)
	give(w, answer)
	return nil, false
}

func give(w http.ResponseWriter, a Answer) {
	if a.Abort {
		panic(http.ErrAbortHandler)
	}
	for name, value := range a.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(a.Status)
	_, _ = io.WriteString(w, a.Body) // the client may be gone
}

// effected tells the hook that something changed.
func (f *Forge) effected(operation, login string) {
	f.hooks.Lock()
	f.effects++
	hook, number := f.onEffect, f.effects
	f.hooks.Unlock()
	if hook != nil {
		hook(Effect{Operation: operation, Login: login, Number: number})
	}
}

// rateHeaders are set on every answer of the API.
func (f *Forge) rateHeaders(w http.ResponseWriter, count bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if count {
		f.used++
	}
	h := w.Header()
	h.Set("X-Ratelimit-Limit", "5000")
	h.Set("X-Ratelimit-Remaining", strconv.Itoa(max(0, 5000-f.used)))
	h.Set("X-Ratelimit-Used", strconv.Itoa(f.used))
	h.Set("X-Ratelimit-Reset", strconv.FormatInt(f.resetAt.Unix(), 10))
	h.Set("X-Ratelimit-Resource", "core")
	h.Set("X-Github-Request-Id", fmt.Sprintf("F0F0:%06d", f.used))
}

// rest serves one operation: authentication, hooks, permissions, and one
// handler at a time.
func (f *Forge) rest(e endpoint) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, valid := f.authenticate(r)
		login := ""
		if user != nil {
			login = user.Login
		}
		after, proceed := f.hooked(w, r, e.operation, login)
		if !proceed {
			return
		}
		f.rateHeaders(w, true)
		answer := f.answer(e, r, user, valid)
		if r.Method != http.MethodGet && answer.status < 300 && !answer.quiet {
			f.effected(e.operation, login)
		}
		if after != nil {
			give(w, *after)
			return
		}
		if answer.status == http.StatusForbidden && e.permission != "" {
			w.Header().Set("X-Accepted-Github-Permissions", e.permission)
		}
		for name, value := range answer.header {
			w.Header().Set(name, value)
		}
		if answer.body == nil {
			w.WriteHeader(answer.status)
			return
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Header().Set("Cache-Control", "private, max-age=60, s-maxage=60")
		w.WriteHeader(answer.status)
		_ = json.NewEncoder(w).Encode(answer.body) // the client may be gone
	}
}

func (f *Forge) answer(e endpoint, r *http.Request, user *account, valid bool) reply {
	if !valid {
		return fail(http.StatusUnauthorized, "Bad credentials")
	}
	if owner := r.PathValue("owner"); owner != "" {
		known := strings.EqualFold(owner, f.options.Owner) && strings.EqualFold(r.PathValue("repo"), f.options.Repo)
		if !known || (e.need != "" && (user == nil || user.Role.rank() < Read.rank())) {
			return notFound()
		}
	}
	if e.need != "" {
		switch {
		case user == nil:
			return fail(http.StatusUnauthorized, "Requires authentication")
		case user.Role.rank() < e.need.rank():
			return fail(http.StatusForbidden, "Must have "+string(e.need)+" rights to Repository.")
		}
		for _, denied := range user.Denied {
			if denied == e.permission {
				return fail(http.StatusForbidden, "Resource not accessible by personal access token")
			}
		}
	}
	c := &call{Request: r, user: user, body: object{}}
	if r.Method != http.MethodGet {
		raw, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
		if err != nil {
			return fail(http.StatusBadRequest, "Problems reading the body")
		}
		raw = bytes.TrimSpace(raw)
		switch {
		case len(raw) == 0:
		case raw[0] == '[': // go-github sends labels as a bare array
			var list []any
			if json.Unmarshal(raw, &list) != nil {
				return fail(http.StatusBadRequest, "Problems parsing JSON")
			}
			c.body = object{"labels": list}
		default:
			if json.Unmarshal(raw, &c.body) != nil {
				return fail(http.StatusBadRequest, "Problems parsing JSON")
			}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return e.handle(c)
}

// text is a string of the body; set is false when it is missing or null.
func (c *call) text(name string) (value string, set bool) {
	value, set = c.body[name].(string)
	return value, set
}

func (c *call) flag(name string) bool {
	value, _ := c.body[name].(bool)
	return value
}

// list is an array of strings of the body.
func (c *call) list(name string) (values []string, set bool) {
	raw, set := c.body[name].([]any)
	for _, v := range raw {
		switch v := v.(type) {
		case string:
			values = append(values, v)
		case map[string]any: // a label may be an object
			if s, isString := v["name"].(string); isString {
				values = append(values, s)
			}
		}
	}
	return values, set
}

func (c *call) number(name string) (int, bool) {
	value, isNumber := c.body[name].(float64)
	return int(value), isNumber
}

// page cuts a list by page and per_page, and sets the Link header.
func page[T any](f *Forge, c *call, items []T, render func(T) object) reply {
	query := c.URL.Query()
	size := positive(query.Get("per_page"), 30)
	size = min(size, 100)
	current := positive(query.Get("page"), 1)
	last := max(1, (len(items)+size-1)/size)
	out := []object{}
	for i := (current - 1) * size; i < min(current*size, len(items)); i++ {
		out = append(out, render(items[i]))
	}
	link := func(number int, rel string) string {
		q := url.Values{}
		for name, values := range query {
			q[name] = values
		}
		q.Set("page", strconv.Itoa(number))
		return fmt.Sprintf("<%s%s?%s>; rel=%q", f.url, c.URL.Path, q.Encode(), rel)
	}
	var links []string
	if current > 1 {
		links = append(links, link(current-1, "prev"))
	}
	if current < last {
		links = append(links, link(current+1, "next"), link(last, "last"))
	}
	if current > 1 {
		links = append(links, link(1, "first"))
	}
	r := ok(out)
	if len(links) > 0 {
		r.header = map[string]string{"Link": strings.Join(links, ", ")}
	}
	return r
}

func positive(text string, fallback int) int {
	if n, err := strconv.Atoi(text); err == nil && n > 0 {
		return n
	}
	return fallback
}

// git serves smart HTTP through git's own http-backend.
func (f *Forge) git(backend *cgi.Handler, operation string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, valid := f.authenticate(r)
		login := ""
		if user != nil {
			login = user.Login
		}
		after, proceed := f.hooked(w, r, operation, login)
		if !proceed {
			return
		}
		service := r.URL.Query().Get("service")
		writes := operation == "git/receive-pack" || service == "git-receive-pack"
		name := strings.TrimSuffix(r.PathValue("repo"), ".git")
		switch {
		case !valid:
			refuse(w, http.StatusUnauthorized, "Invalid username or token. Password authentication is not supported for Git operations.")
			return
		case user == nil:
			refuse(w, http.StatusUnauthorized, "No anonymous access.")
			return
		case !strings.EqualFold(r.PathValue("owner"), f.options.Owner) || !strings.EqualFold(name, f.options.Repo), user.Role.rank() < Read.rank():
			refuse(w, http.StatusNotFound, "Repository not found.")
			return
		case writes && (user.Role.rank() < Write.rank() || contains(user.Denied, "contents=write")):
			refuse(w, http.StatusForbidden, "Write access to repository not granted.")
			return
		}
		if err := plainBody(r); err != nil {
			refuse(w, http.StatusBadRequest, "Bad request.")
			return
		}
		r.URL.Path = "/" + f.options.Owner + "/" + f.options.Repo + ".git" + strings.TrimPrefix(r.URL.Path, "/"+r.PathValue("owner")+"/"+r.PathValue("repo"))
		handler := *backend
		handler.Env = append(append([]string{}, backend.Env...), "REMOTE_USER="+login)
		if protocol := r.Header.Get("Git-Protocol"); protocol != "" {
			handler.Env = append(handler.Env, "GIT_PROTOCOL="+protocol)
		}
		r.Header.Del("Authorization")
		if operation != "git/receive-pack" {
			handler.ServeHTTP(w, r)
			return
		}
		// A push is answered only after the pull requests have moved.
		held := &heldResponse{header: http.Header{}, status: http.StatusOK}
		f.mu.Lock()
		handler.ServeHTTP(held, r)
		changed, err := f.sync(r.Context(), login)
		f.mu.Unlock()
		if err != nil {
			refuse(w, http.StatusInternalServerError, err.Error())
			return
		}
		if changed {
			f.effected(operation, login)
		}
		if after != nil {
			give(w, *after)
			return
		}
		for key, values := range held.header {
			w.Header()[key] = values
		}
		w.WriteHeader(held.status)
		_, _ = w.Write(held.body.Bytes()) // the client may be gone
	}
}

// plainBody gives the request a length: CGI knows no chunked bodies.
func plainBody(r *http.Request) error {
	if r.ContentLength >= 0 || r.Body == nil {
		return nil
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if err := r.Body.Close(); err != nil {
		return err
	}
	r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(raw)), int64(len(raw)), nil
	return nil
}

func refuse(w http.ResponseWriter, status int, message string) {
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="GitHub"`)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, message+"\n") // the client may be gone
}

// heldResponse keeps an answer until it may go out.
type heldResponse struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (h *heldResponse) Header() http.Header { return h.header }

func (h *heldResponse) WriteHeader(status int) { h.status = status }

func (h *heldResponse) Write(p []byte) (int, error) { return h.body.Write(p) }

func contains(list []string, value string) bool {
	for _, v := range list {
		if v == value {
			return true
		}
	}
	return false
}
