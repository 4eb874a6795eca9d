// Package dashboard turns plans, fleets and records into what people read:
// terminal text, Markdown, unified diffs, and the titles and bodies of pull
// requests. It is pure; the same value gives the same bytes. Whatever it shows
// of options and values has passed javaagent.Redact.
package dashboard
