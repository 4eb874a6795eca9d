package fleet

import (
	"fmt"

	"github.com/otelshift/otelshift/pkg/javaagent"
)

// Payload is the identity of what rebuilt images receive: agent, extensions
// and start script.
type Payload struct {
	Version string // of the agent
	Digest  string // "sha256:…" over agent, extensions, start script and where they go
	// Starts: the start script itself loads the agent.
	Starts bool
}

// Rebuild asks for one image with the agent in it.
type Rebuild struct {
	From string // reference as the manifest names it: tag, digest or both
	// Remove are absolute directories of the old agent, as the flags name them.
	Remove []string
	// Env replaces values in the image's own config Env, by name; an empty
	// value removes the variable.
	Env map[string]string
	// Words edits items of the image's own Entrypoint and Cmd, in order.
	Words []WordEdit
	// Alone: no manifest is known that could hide what the image loads by
	// itself, so an image whose configuration still loads SkyWalking is refused.
	Alone bool
}

// WordEdit replaces an item of an image's Entrypoint or Cmd.
type WordEdit struct {
	List  string // "Entrypoint" | "Cmd"
	Index int
	Old   string   // as ImageInfo shows it; another is refused
	New   []string // what takes its place; none: it is removed
}

// Lists of WordEdit.
const (
	ListEntrypoint = "Entrypoint"
	ListCmd        = "Cmd"
)

// Key identifies the rebuild among others of the same payload.
func (r Rebuild) Key() string {
	key := r.From
	for _, dir := range r.Remove {
		key += "\x00" + dir
	}
	for _, name := range SortedKeys(r.Env) {
		key += "\x01" + name + "=" + r.Env[name]
	}
	for _, w := range r.Words {
		key += fmt.Sprintf("\x02%s %d %q", w.List, w.Index, w.New)
	}
	return key
}

// Built is a rebuilt image, or the name it will have.
type Built struct {
	From      string    `json:"from"`
	To        string    `json:"to"`     // "repository:tag", with "@digest" once Digest is known
	Digest    string    `json:"digest"` // empty while the image does not exist
	Reused    bool      `json:"reused"` // it was there already
	Platforms []string  `json:"platforms"`
	Warnings  []Warning `json:"warnings,omitempty"` // attestations dropped, signatures not copied, …
}

// ImageInfo is what an image says about itself; "otelshift inspect -o json".
type ImageInfo struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"` // "Image"
	Reference  string            `json:"reference"`
	Digest     string            `json:"digest"`
	MediaType  string            `json:"mediaType"`
	Platforms  []string          `json:"platforms"`
	Env        []string          `json:"env"` // secret-looking values redacted
	Entrypoint []string          `json:"entrypoint"`
	Cmd        []string          `json:"cmd"`
	User       string            `json:"user"`
	WorkingDir string            `json:"workingDir"`
	Labels     map[string]string `json:"labels"`
	Loads      []ImageLoad       `json:"loads"`
	Base       *ImageBase        `json:"base,omitempty"`     // of an image that we built
	Contents   *ImageContents    `json:"contents,omitempty"` // with a full preflight only
	Warnings   []Warning         `json:"warnings,omitempty"` // what was not looked at
}

// ImageFile is a file of an image that a plan asked for.
type ImageFile struct {
	Text  string
	Found bool
	// Unread says why it is not known whether the file is there; empty: it is
	// known.
	Unread string
}

// ImageContents is what the layers of an image hold that the removal of the
// SkyWalking agent bears on.
type ImageContents struct {
	Agents  []ImageAgent   `json:"agents"`
	Toolkit []ImageToolkit `json:"toolkit"`
	Texts   []ImageText    `json:"texts"`
	Java    []ImageJava    `json:"java"`
}

// ImageAgent is a SkyWalking agent in an image.
type ImageAgent struct {
	Directory string `json:"directory"`
	Version   string `json:"version"`
	// Settings are those of its agent.config that are not stock, "key=value",
	// secret-looking values redacted.
	Settings []string `json:"settings"`
	// Certificate: ca/ca.crt lies in the directory and switches TLS on.
	Certificate bool `json:"certificate"`
	// Config is the text of its agent.config. It may hold secrets.
	Config string `json:"-"`
}

// ImageToolkit is a library of SkyWalking's toolkit in an image.
type ImageToolkit struct {
	Library string   `json:"library"` // "apm-toolkit-trace-8.9.0.jar"; without a version where only its classes were seen
	Where   []string `json:"where"`   // archives that hold it
	UsedBy  []string `json:"usedBy"`  // classes and configuration files that name its parts
}

// ImageText is a line of a text file that names SkyWalking or loads an agent.
type ImageText struct {
	Where string `json:"where"` // "/home/admin/run.sh:12"
	Text  string `json:"text"`
}

// ImageJava is a Java installation.
type ImageJava struct {
	Home    string `json:"home"`
	Version string `json:"version"`
}

// ImageLoad is one place of an image that loads an agent.
type ImageLoad struct {
	Agent javaagent.Kind `json:"agent"`
	Where string         `json:"where"` // "Env CATALINA_OPTS", "Entrypoint[1]", "/home/admin/start.sh:12"
	Value string         `json:"value"`
	Jar   string         `json:"jar"`
	// Variable of the image that names the file in Where: options of java in a
	// file. Empty: the command does.
	Variable string `json:"variable,omitempty"`
	// Beside are other lines of the same script that name SkyWalking, as
	// "path:line".
	Beside []string `json:"beside,omitempty"`
}

// ImageBase is read from our own labels.
type ImageBase struct {
	Name         string `json:"name"`
	Digest       string `json:"digest"`
	Layer        string `json:"layer"`
	AgentVersion string `json:"agentVersion"`
	// Env, Entrypoint and Cmd are the base's own, secret-looking values redacted.
	Env        []string `json:"env,omitempty"`
	Entrypoint []string `json:"entrypoint,omitempty"`
	Cmd        []string `json:"cmd,omitempty"`
}
