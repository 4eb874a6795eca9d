package forge

import (
	"html/template"
	"regexp"
	"strconv"
	"strings"
)

// markdown renders what pull requests use: headings, lists, boxes, tables,
// quotes, fences, and code, bold and links inside a line. Everything else,
// HTML above all, is shown as text; HTML comments are hidden as on GitHub,
// details are folded out.
func markdown(source string) template.HTML {
	source = regexp.MustCompile(`(?s)<!--.*?-->`).ReplaceAllString(source, "")
	m := &renderer{}
	for line := range strings.SplitSeq(strings.ReplaceAll(source, "\r\n", "\n"), "\n") {
		m.line(line)
	}
	m.block("")
	return template.HTML(m.out.String()) //nolint:gosec // every piece of text is escaped
}

type renderer struct {
	out   strings.Builder
	open  string // element that is open: p, ul, table, pre, blockquote
	fence bool
}

// block closes the open element and opens the next one.
func (m *renderer) block(next string) {
	if m.open == next {
		return
	}
	if m.open != "" {
		m.out.WriteString("</" + m.open + ">\n")
	}
	if next != "" {
		m.out.WriteString("<" + next + ">")
	}
	m.open = next
}

func (m *renderer) line(line string) {
	text := strings.TrimSpace(line)
	switch {
	case strings.HasPrefix(text, "```"):
		m.block(map[bool]string{true: "", false: "pre"}[m.fence])
		m.fence = !m.fence
	case m.fence:
		m.out.WriteString(template.HTMLEscapeString(line) + "\n")
	case text == "", text == "<details>", text == "</details>":
		m.block("")
	case strings.HasPrefix(text, "<summary>"):
		m.block("")
		m.out.WriteString("<p><b>" + inline(strings.TrimSuffix(strings.TrimPrefix(text, "<summary>"), "</summary>")) + "</b></p>\n")
	case strings.HasPrefix(text, "#"):
		level := min(6, len(text)-len(strings.TrimLeft(text, "#")))
		m.block("")
		tag := "h" + strconv.Itoa(level)
		m.out.WriteString("<" + tag + ">" + inline(strings.TrimSpace(text[level:])) + "</" + tag + ">\n")
	case strings.HasPrefix(text, "- "), strings.HasPrefix(text, "* "):
		m.block("ul")
		item := text[2:]
		for mark, box := range map[string]string{"[ ] ": "☐ ", "[x] ": "☑ "} {
			if rest, found := strings.CutPrefix(item, mark); found {
				item = box + rest
			}
		}
		m.out.WriteString("<li>" + inline(item) + "</li>\n")
	case strings.HasPrefix(text, "|"):
		m.row(text)
	case strings.HasPrefix(text, ">"):
		m.block("blockquote")
		m.out.WriteString(inline(strings.TrimSpace(text[1:])) + "<br>")
	default:
		if m.open != "ul" {
			m.block("p")
		}
		m.out.WriteString(inline(text) + "\n")
	}
}

func (m *renderer) row(text string) {
	if strings.Trim(text, "|-: ") == "" {
		return // the line below a table's head
	}
	cell := "td"
	if m.open != "table" {
		cell = "th"
	}
	m.block("table")
	m.out.WriteString("<tr>")
	text = strings.ReplaceAll(strings.Trim(text, "|"), `\|`, "\x00")
	for part := range strings.SplitSeq(text, "|") {
		part = strings.ReplaceAll(strings.TrimSpace(part), "\x00", "|")
		m.out.WriteString("<" + cell + ">" + strings.ReplaceAll(inline(part), "&lt;br&gt;", "<br>") + "</" + cell + ">")
	}
	m.out.WriteString("</tr>\n")
}

// inline escapes a line and renders code, bold and links in it.
func inline(text string) string {
	s := template.HTMLEscapeString(text)
	s = regexp.MustCompile("`([^`]+)`").ReplaceAllString(s, "<code>$1</code>")
	s = regexp.MustCompile(`\*\*([^*]+)\*\*`).ReplaceAllString(s, "<b>$1</b>")
	return regexp.MustCompile(`\[([^\]]+)\]\((https?://[^)\s]+)\)`).ReplaceAllString(s, `<a href="$2">$1</a>`)
}
