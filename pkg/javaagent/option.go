package javaagent

// Kind says which agent a -javaagent flag loads.
type Kind string

// The agents that otelshift tells apart.
const (
	SkyWalking    Kind = "skywalking"
	OpenTelemetry Kind = "opentelemetry"
	Other         Kind = "other"
)

// Grade says how well an option's translation keeps its effect. MAPPING,
// section 2.
type Grade string

// The grades, best first; Grades lists them.
const (
	Exact       Grade = "exact"
	Approximate Grade = "approximate"
	Collector   Grade = "collector"
	Code        Grade = "code"
	Lost        Grade = "lost"
)

// Grades lists every grade, best first.
func Grades() []Grade { return []Grade{Exact, Approximate, Collector, Code, Lost} }

// Option is the fate of one option. Secret-looking values are redacted.
type Option struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Grade  Grade  `json:"grade"`
	Blocks bool   `json:"blocks"`
	Inert  bool   `json:"inert"` // it tunes a part that vanishes
	Note   string `json:"note,omitempty"`
}
