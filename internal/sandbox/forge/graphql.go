package forge

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// graphql knows what our client asks: one mutation, enablePullRequestAutoMerge,
// who asks, pull requests by state and label, and the edits of an issue. It
// goes by the names in the query; it parses none.
func (f *Forge) graphql(c *call) reply {
	problem := func(kind, message string) reply {
		r := ok(object{"data": object{"enablePullRequestAutoMerge": nil}, "errors": []object{{
			"type": kind, "path": []string{"enablePullRequestAutoMerge"}, "message": message,
		}}})
		r.quiet = true
		return r
	}
	query, _ := c.text("query")
	if strings.Contains(query, "viewer") {
		r := ok(object{"data": object{"viewer": object{"login": c.user.Login}}})
		r.quiet = true
		return r
	}
	switch {
	case strings.Contains(query, "headRefName: $"):
		return f.queryBranches(c)
	case strings.Contains(query, "pullRequests("):
		return f.queryPulls(c)
	case strings.Contains(query, "userContentEdits("):
		return f.queryEdits(c)
	}
	if !strings.Contains(query, "enablePullRequestAutoMerge") {
		return problem("INVALID", "The forge of the sandbox does not know this query")
	}
	if c.user.Role.rank() < Write.rank() || contains(c.user.Denied, "pull_requests=write") {
		return problem("FORBIDDEN", "Resource not accessible by personal access token")
	}
	variables, _ := c.body["variables"].(map[string]any)
	find := func(names ...string) string {
		for _, name := range names {
			if s, isString := variables[name].(string); isString {
				return s
			}
		}
		if input, isObject := variables["input"].(map[string]any); isObject {
			for _, name := range names {
				if s, isString := input[name].(string); isString {
					return s
				}
			}
		}
		return ""
	}
	id, method := find("pullRequestId", "id"), cmp.Or(find("mergeMethod", "method"), "MERGE")
	for _, t := range f.threads {
		if t.pull == nil || node("PR", int64(t.number)) != id {
			continue
		}
		switch {
		case !f.options.AllowAutoMerge:
			return problem("UNPROCESSABLE", "Pull request Auto merge is not allowed for this repository")
		case !t.open || t.pull.draft:
			return problem("UNPROCESSABLE", "Pull request is not in the correct state")
		}
		t.pull.auto, t.pull.autoBy = strings.ToLower(method), c.user
		f.note(t, "auto_merge_enabled", c.user, "", "")
		return ok(object{"data": object{"enablePullRequestAutoMerge": object{"pullRequest": object{"number": t.number}}}})
	}
	return problem("NOT_FOUND", "Could not resolve to a node with the global id of '"+id+"'")
}

// queryPulls answers for the connections "ever", "open" and "lasting": any of
// the labels is enough, as on GitHub.
func (f *Forge) queryPulls(c *call) reply {
	variables, _ := c.body["variables"].(map[string]any)
	text := func(name string) string { s, _ := variables[name].(string); return s }
	list := func(name string) (names []string) {
		values, _ := variables[name].([]any)
		for _, v := range values {
			if s, isString := v.(string); isString {
				names = append(names, s)
			}
		}
		return names
	}
	labelled := func(t *thread, names []string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return hasLabels(t, name) })
	}
	var open, lasting []*thread
	ever := 0
	for _, t := range f.threads {
		if t.pull == nil {
			continue
		}
		if labelled(t, list("batch")) {
			ever++
		}
		switch {
		case variables["base"] != nil && t.pull.base != text("base"):
		case t.open:
			open = append(open, t)
		case labelled(t, list("lasting")):
			lasting = append(lasting, t)
		}
	}
	r := ok(object{"data": object{"repository": object{
		"ever": object{"totalCount": ever}, "open": f.connection(open, text("openAfter")), "lasting": f.connection(lasting, text("lastingAfter")),
	}}})
	r.quiet = true
	return r
}

// queryBranches answers for the pull requests of the branches that the variables
// b0, b1 and so on name.
func (f *Forge) queryBranches(c *call) reply {
	variables, _ := c.body["variables"].(map[string]any)
	found := object{}
	for i := 0; ; i++ {
		name := "b" + strconv.Itoa(i)
		branch, there := variables[name].(string)
		if !there {
			break
		}
		found[name] = f.connection(slices.DeleteFunc(slices.Clone(f.threads), func(t *thread) bool {
			return t.pull == nil || t.pull.branch != branch || t.pull.base != variables["base"]
		}), "")
	}
	r := ok(object{"data": object{"repository": found}})
	r.quiet = true
	return r
}

// connection is a page of a hundred, least recently updated first; a cursor is
// the index of the last entry.
func (f *Forge) connection(threads []*thread, after string) object {
	slices.SortStableFunc(threads, func(a, b *thread) int { return a.updated.Compare(b.updated) })
	start := 0
	if n, err := strconv.Atoi(after); err == nil {
		start = n + 1
	}
	nodes := []object{}
	end := min(start+100, len(threads))
	for i := start; i < end; i++ {
		nodes = append(nodes, f.pullNode(threads[i]))
	}
	var cursor any
	if end > start {
		cursor = strconv.Itoa(end - 1)
	}
	return object{"pageInfo": object{"hasNextPage": end < len(threads), "endCursor": cursor}, "nodes": nodes}
}

func (f *Forge) pullNode(t *thread) object {
	p := t.pull
	state, when := strings.ToUpper(t.state()), func(at time.Time) any {
		if at.IsZero() {
			return nil
		}
		return stamp(at)
	}
	var merge any
	if !p.merged.IsZero() {
		state, merge = "MERGED", object{"oid": p.mergeHead}
	}
	kind, login := "User", t.author.Login
	if name, bot := strings.CutSuffix(login, "[bot]"); bot {
		kind, login = "Bot", name
	}
	labels := []object{}
	for _, name := range t.labels {
		labels = append(labels, object{"name": name})
	}
	return object{
		"number": t.number, "url": f.url + "/" + f.options.Owner + "/" + f.options.Repo + "/pull/" + strconv.Itoa(t.number), "title": t.title, "body": t.body,
		"state": state, "isDraft": p.draft, "isCrossRepository": p.fork != "", "headRefName": p.branch, "headRefOid": p.head, "baseRefName": p.base,
		"createdAt": stamp(t.created), "updatedAt": stamp(t.updated), "closedAt": when(t.closed), "mergedAt": when(p.merged),
		"author": object{"__typename": kind, "login": login}, "mergeCommit": merge, "labels": object{"nodes": labels},
	}
}

// queryEdits answers for the edits of an issue's body, newest first; their
// "diff" is the whole body, as on GitHub.
func (f *Forge) queryEdits(c *call) reply {
	variables, _ := c.body["variables"].(map[string]any)
	number, _ := variables["number"].(float64)
	t := f.thread(int(number))
	if t == nil {
		r := ok(object{"data": object{"repository": object{"issue": nil}}, "errors": []object{{"type": "NOT_FOUND", "message": "Could not resolve to an Issue"}}})
		r.quiet = true
		return r
	}
	nodes := []object{}
	for _, e := range slices.Backward(t.edits) {
		kind, login := "User", e.editor.Login
		if name, bot := strings.CutSuffix(login, "[bot]"); bot {
			kind, login = "Bot", name
		}
		nodes = append(nodes, object{"editedAt": stamp(e.when), "diff": e.body, "editor": object{"__typename": kind, "login": login}})
	}
	r := ok(object{"data": object{"repository": object{"issue": object{
		"one": object{"nodes": nodes[:min(len(nodes), 50)]}, "other": object{"nodes": nodes[max(0, len(nodes)-50):]},
	}}}})
	r.quiet = true
	return r
}
