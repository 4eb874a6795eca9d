//go:build e2e_full

package dashboard

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// browser is a headless Chromium that chromedriver drives: WebDriver, plain
// HTTP and JSON. https://www.w3.org/TR/webdriver2/
type browser struct {
	t       *testing.T
	session string // URL
}

var driverPort = regexp.MustCompile(`started successfully on port (\d+)`)

func newBrowser(t *testing.T) *browser {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("needs chromium: chromium is not installed")
	}
	driver, err := exec.LookPath("chromedriver")
	if err != nil {
		t.Skip("needs chromium-driver: chromedriver is not installed")
	}
	// Not t.TempDir: Chromium's processes may write a moment longer.
	home, err := os.MkdirTemp("", "otelshift-browser-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), driver, "--port=0") // it closes the browser in the cleanup
	cmd.Env = append(os.Environ(), "HOME="+home)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	b := &browser{t: t}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if m := driverPort.FindStringSubmatch(lines.Text()); m != nil {
			b.session = "http://127.0.0.1:" + m[1] + "/session"
			break
		}
	}
	if b.session == "" {
		t.Fatal("chromedriver did not start")
	}
	var opened struct {
		SessionID string `json:"sessionId"`
	}
	b.post("", map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{
		"goog:chromeOptions": map[string]any{"binary": chromium, "args": []string{
			"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
			"--disable-component-update", "--disable-sync", "--hide-scrollbars", "--user-data-dir=" + filepath.Join(home, "profile"),
		}},
		"goog:loggingPrefs": map[string]string{"browser": "ALL"},
	}}}, &opened)
	b.session += "/" + opened.SessionID
	t.Cleanup(func() {
		request, _ := http.NewRequest(http.MethodDelete, b.session, http.NoBody)
		if response, err := http.DefaultClient.Do(request); err == nil {
			_ = response.Body.Close()
		}
	})
	return b
}

// post sends a command and decodes its value.
func (b *browser) post(path string, body, value any) {
	b.t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		b.t.Fatal(err)
	}
	response, err := http.Post(b.session+path, "application/json", bytes.NewReader(data))
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer := struct {
		Value any `json:"value"`
	}{value}
	if response.StatusCode != http.StatusOK {
		var problem any
		_ = json.NewDecoder(response.Body).Decode(&problem)
		b.t.Fatalf("%s: %s: %v", path, response.Status, problem)
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		b.t.Fatalf("%s: %v", path, err)
	}
}

// run executes a function body in the page.
func (b *browser) run(script string, value any) {
	b.t.Helper()
	b.post("/execute/sync", map[string]any{"script": script, "args": []any{}}, value)
}

// number is run for a number.
func (b *browser) number(script string) float64 {
	b.t.Helper()
	var n float64
	b.run(script, &n)
	return n
}

// text is run for a string.
func (b *browser) text(script string) string {
	b.t.Helper()
	var s string
	b.run(script, &s)
	return s
}

// cdp sends a command of the DevTools protocol.
func (b *browser) cdp(command string, params map[string]any, value any) {
	b.t.Helper()
	b.post("/goog/cdp/execute", map[string]any{"cmd": command, "params": params}, value)
}

func (b *browser) open(url string) {
	b.t.Helper()
	b.post("/url", map[string]any{"url": url}, nil)
}

// look sets the colour scheme, the size in CSS pixels and the zoom of a telephone or a desk.
func (b *browser) look(scheme string, width, height int) {
	b.t.Helper()
	b.cdp("Emulation.setEmulatedMedia", map[string]any{"media": "", "features": []map[string]string{
		{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"},
	}}, nil)
	b.cdp("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}, nil)
}

// shoot keeps what is seen as a file of the test's artefacts ("go test -artifacts").
func (b *browser) shoot(name string) {
	b.t.Helper()
	var encoded struct {
		Data string `json:"data"`
	}
	b.cdp("Page.captureScreenshot", map[string]any{"format": "png"}, &encoded)
	b.keep(name+".png", encoded.Data)
}

func (b *browser) keep(name, encoded string) {
	b.t.Helper()
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.t.ArtifactDir(), name), data, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// keys types into what has the focus; \ue004 is Tab, \ue007 Enter, \ue00c Escape.
func (b *browser) keys(text string) {
	b.t.Helper()
	var actions []map[string]string
	for _, r := range text {
		actions = append(actions, map[string]string{"type": "keyDown", "value": string(r)}, map[string]string{"type": "keyUp", "value": string(r)})
	}
	b.post("/actions", map[string]any{"actions": []any{map[string]any{"type": "key", "id": "keyboard", "actions": actions}}}, nil)
}

// complaints are what the browser's console holds: a refused script or style,
// a request that the policy stopped, an exception.
func (b *browser) complaints() []string {
	b.t.Helper()
	var entries []struct {
		Message string `json:"message"`
	}
	b.post("/se/log", map[string]any{"type": "browser"}, &entries)
	var list []string
	for _, e := range entries {
		list = append(list, e.Message)
	}
	return list
}

const shownRows = `return document.querySelectorAll('#fleet tbody tr:not([hidden])').length`

// timed runs statements and waits until the page is laid out again: milliseconds.
func timed(statements string) string {
	return `const start = performance.now(); ` + statements + `; document.body.getBoundingClientRect(); void document.getElementById('fleet').offsetHeight; return performance.now() - start`
}

func TestFleetPageInABrowser(t *testing.T) {
	b := newBrowser(t)
	f := largeFleet(2000)
	page := fleetPageOf(t, f)
	file := filepath.Join(t.ArtifactDir(), "fleet.html")
	if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
	b.look("light", 1280, 900)
	b.open("file://" + file)
	load := b.number(`const n = performance.getEntriesByType('navigation')[0]; return n.loadEventEnd - n.startTime`)
	if n := b.number(shownRows); n != 2000 {
		t.Fatalf("%v rows are shown, want 2000", n)
	}
	if requests := b.number(`return performance.getEntriesByType('resource').length`); requests != 0 {
		t.Errorf("the page asked for %v resources", requests)
	}
	b.shoot("light")

	search := b.number(timed(`const q = document.querySelector('input[name=q]'); q.value = 'service-19'; q.dispatchEvent(new Event('input', {bubbles: true}))`))
	if n := b.number(shownRows); n != 100 {
		t.Errorf("the search shows %v rows, want 100", n)
	}
	choose := b.number(timed(`document.querySelector('.chip[data-set="state=reverted"]').click()`))
	reverted := f.Summary[string(fleet.StateReverted)]
	if n := b.number(shownRows); n != float64(reverted) || reverted == 0 {
		t.Errorf("the state's filter shows %v rows, want %d", n, reverted)
	}
	if got, want := b.text(`return document.querySelector('.filter [role=status]').textContent`), fmt.Sprintf("%d of 2000 shown", reverted); got != want {
		t.Errorf("a screen reader hears %q, want %q", got, want)
	}
	if hash := b.text(`return location.hash`); hash != "#state=reverted" {
		t.Errorf("the filter's link is %q", hash)
	}
	b.shoot("light-filtered")
	clear := b.number(timed(`document.querySelector('.filter button[type=reset]').click()`))
	sort := b.number(timed(`document.querySelectorAll('#fleet thead button')[1].click()`))
	if got := b.text(`return document.querySelector('#fleet tbody tr td').textContent`); got != "blocked" {
		t.Errorf("sorted by state the first one is %q, want blocked", got)
	}
	if got := b.text(`return document.querySelectorAll('#fleet thead th')[1].getAttribute('aria-sort')`); got != "ascending" {
		t.Errorf("aria-sort is %q", got)
	}
	t.Logf("2,000 workloads: %d bytes, load %.0f ms, search %.0f ms, filter %.0f ms, show all %.0f ms, sort %.0f ms", len(page), load, search, choose, clear, sort)
	for what, took := range map[string]float64{"load": load / 5, "search": search, "filter": choose, "show all": clear, "sort": sort} {
		if took > 1000 {
			t.Errorf("%s takes %.0f ms", what, took)
		}
	}

	// A link with a filter in it.
	b.open("about:blank")
	b.open("file://" + file + "#state=blocked&namespace=team-03")
	if n := b.number(shownRows); n == 0 || n >= 100 || b.text(`return document.querySelector('select[name=state]').value`) != "blocked" {
		t.Errorf("the link's filter is not taken over: %v rows", n)
	}

	for name, size := range map[string][2]int{"narrow": {360, 780}, "dark": {1280, 900}} {
		scheme := map[string]string{"narrow": "light", "dark": "dark"}[name]
		b.look(scheme, size[0], size[1])
		b.open("about:blank")
		b.open("file://" + file)
		if wide := b.number(`return document.documentElement.scrollWidth`); wide > float64(size[0]) {
			t.Errorf("%s: the page is %v wide on a screen of %d", name, wide, size[0])
		}
		for _, section := range []string{"", "failures", "batches", "groups", "options", "workloads"} {
			if section != "" {
				b.run(fmt.Sprintf(`document.getElementById(%q).scrollIntoView()`, section), nil)
			}
			b.shoot(strings.TrimSuffix(name+"-"+section, "-"))
		}
		if low := b.text(contrast); low != "" {
			t.Errorf("%s: too little contrast: %s", name, low)
		}
	}
	if list := b.complaints(); len(list) > 0 {
		t.Errorf("the console complains: %v", list)
	}
}

// contrast names texts that WCAG 2.2's 1.4.3 would not let pass: less than
// 4.5 to 1 between a text and what is behind it.
const contrast = `
const rgb = c => { const m = c.match(/[\d.]+/g).map(Number); return m.length < 4 || m[3] > 0 ? m : null; };
const light = c => { const [r, g, b] = c.slice(0, 3).map(v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }); return .2126 * r + .7152 * g + .0722 * b; };
const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c) return c; } return [255, 255, 255]; };
const bad = new Set();
for (const e of document.querySelectorAll('body *')) {
  if (e.closest('script,style,svg') || !Array.from(e.childNodes).some(n => n.nodeType === 3 && n.textContent.trim())) continue;
  const a = light(rgb(getComputedStyle(e).color)), b = light(behind(e));
  const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  if (ratio < 4.5) bad.add(e.tagName + '.' + e.className + ' ' + ratio.toFixed(2));
}
return Array.from(bad).join(', ')`

func TestFleetPageWithAKeyboardAndAScreenReader(t *testing.T) {
	b := newBrowser(t)
	file := filepath.Join(t.TempDir(), "fleet.html")
	if err := os.WriteFile(file, []byte(fleetPageOf(t, largeFleet(200))), 0o644); err != nil {
		t.Fatal(err)
	}
	b.look("light", 1280, 900)
	b.open("file://" + file)
	const focused = `const e = document.activeElement; return e.tagName + ' ' + (e.name || e.textContent.slice(0, 30).trim())`
	b.keys("\ue004")
	if got := b.text(focused); got != "A Skip to the content" {
		t.Errorf("the first Tab comes to %q", got)
	}
	b.keys("\ue007")
	if got := b.text(`return document.activeElement.tagName`); got != "MAIN" {
		t.Errorf("the skip link leads to %q", got)
	}
	// The whole page can be walked through, and nothing keeps the focus.
	seen := map[string]bool{}
	for range 400 {
		b.keys("\ue004")
		seen[b.text(focused)] = true
		if seen["INPUT q"] && seen["SELECT owner"] {
			break
		}
	}
	for _, want := range []string{"INPUT q", "SELECT state", "SELECT namespace", "SELECT wave", "SELECT owner"} {
		if !seen[want] {
			t.Errorf("Tab never comes to %s", want)
		}
	}
	b.run(`document.querySelector('input[name=q]').focus()`, nil)
	b.keys("service-0007")
	if n := b.number(shownRows); n != 1 {
		t.Errorf("typing a name shows %v rows, want 1", n)
	}
	b.keys("\ue00c")
	if n := b.number(shownRows); n != 200 {
		t.Errorf("Escape shows %v rows, want 200", n)
	}

	// What a screen reader is given: every table has column heads, every control a name.
	var tree struct {
		Nodes []struct {
			Role struct{ Value string } `json:"role"`
			Name struct{ Value string } `json:"name"`
		} `json:"nodes"`
	}
	b.cdp("Accessibility.getFullAXTree", map[string]any{}, &tree)
	roles := map[string]int{}
	for _, n := range tree.Nodes {
		roles[n.Role.Value]++
		switch n.Role.Value {
		case "link", "button", "searchbox", "combobox", "region", "navigation", "heading", "columnheader", "rowheader":
			if strings.TrimSpace(n.Name.Value) == "" {
				t.Errorf("a %s has no name", n.Role.Value)
			}
		}
	}
	for _, role := range []string{"main", "navigation", "heading", "table", "columnheader", "rowheader", "searchbox", "combobox", "status"} {
		if roles[role] == 0 {
			t.Errorf("the page has no %s: %v", role, roles)
		}
	}
}

func TestFleetPageOnPaper(t *testing.T) {
	b := newBrowser(t)
	file := filepath.Join(t.TempDir(), "fleet.html")
	if err := os.WriteFile(file, []byte(fleetPageOf(t, largeFleet(200))), 0o644); err != nil {
		t.Fatal(err)
	}
	b.look("dark", 1280, 900)
	b.open("file://" + file)
	var printed struct {
		Data string `json:"data"`
	}
	b.cdp("Page.printToPDF", map[string]any{"printBackground": false}, &printed)
	b.keep("print.pdf", printed.Data)
	if _, err := exec.LookPath("pdftotext"); err != nil {
		t.Skip("needs poppler-utils: pdftotext is not installed")
	}
	out, err := exec.CommandContext(t.Context(), "pdftotext", "-layout", filepath.Join(t.ArtifactDir(), "print.pdf"), "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		if name := fmt.Sprintf("service-%04d", i); !strings.Contains(string(out), name) {
			t.Fatalf("%s is not on paper", name)
		}
	}
}
