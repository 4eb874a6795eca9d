package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/otelshift/otelshift/pkg/fleet"
)

// maxAnswer is more than a query for one service answers.
const maxAnswer = 4 << 20

// Options configure New. URL and Query are required.
type Options struct {
	URL string
	// Query is a PromQL template over Service, Namespace and Name; values are escaped for a string in
	// double quotes.
	Query     string
	Token     string            // sent as a bearer token; empty: none
	Transport http.RoundTripper // default: http.DefaultTransport
	Timeout   time.Duration     // of one query, default 15s
	UserAgent string            // default "otelshift"
}

// Client asks one Prometheus; it is migrate.Telemetry.
type Client struct {
	opt      Options
	endpoint string
	query    *template.Template
	http     *http.Client
}

// asked is what a query is a template over.
type asked struct {
	Service         string // service.name of the telemetry
	Namespace, Name string // of the workload
}

// New checks URL and query; it sends nothing.
func New(o Options) (*Client, error) {
	base, err := url.Parse(o.URL)
	if err != nil || base.Host == "" {
		return nil, fmt.Errorf("reading the URL of Prometheus: %q is not one", o.URL)
	}
	query, err := template.New("query").Option("missingkey=error").Parse(o.Query)
	if err != nil {
		return nil, fmt.Errorf("reading the query for Prometheus: %w", err)
	}
	if o.Timeout == 0 {
		o.Timeout = 15 * time.Second
	}
	if o.UserAgent == "" {
		o.UserAgent = "otelshift"
	}
	c := &Client{opt: o, endpoint: base.JoinPath("api", "v1", "query").String(), query: query, http: &http.Client{Transport: o.Transport, Timeout: o.Timeout}}
	if _, err := c.text(asked{Service: "s"}); err != nil {
		return nil, err
	}
	return c, nil
}

// text is the query for one service.
func (c *Client) text(a asked) (string, error) {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	var text strings.Builder
	err := c.query.Execute(&text, asked{Service: escape.Replace(a.Service), Namespace: escape.Replace(a.Namespace), Name: escape.Replace(a.Name)})
	if err != nil {
		return "", fmt.Errorf("filling in the query for Prometheus: %w", err)
	}
	return text.String(), nil
}

// answer is what /api/v1/query gives.
// Source: Prometheus, "HTTP API", "Instant queries".
type answer struct {
	Status string `json:"status"`
	Error  string `json:"error"`
	Data   struct {
		ResultType string          `json:"resultType"`
		Result     json.RawMessage `json:"result"`
	} `json:"data"`
}

// Received reports whether the query for a service finds anything: a sample that is neither
// zero nor NaN. It returns fleet.ErrUnavailable, wrapped, where Prometheus does
// not answer, and fleet.ErrDenied where it refuses.
func (c *Client) Received(ctx context.Context, service string, workload fleet.ID) (bool, error) {
	text, err := c.text(asked{Service: service, Namespace: workload.Namespace, Name: workload.Name})
	if err != nil {
		return false, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, strings.NewReader(url.Values{"query": {text}}.Encode()))
	if err != nil {
		return false, fmt.Errorf("asking Prometheus: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("User-Agent", c.opt.UserAgent)
	if c.opt.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.opt.Token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return false, fmt.Errorf("asking Prometheus: %w", ctx.Err())
		}
		return false, fmt.Errorf("asking Prometheus: %w: %w", err, fleet.ErrUnavailable)
	}
	defer func() { _ = response.Body.Close() }() // it was read, or is not wanted
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return false, fmt.Errorf("reading the answer of Prometheus: %w: %w", err, fleet.ErrUnavailable)
	}
	var got answer
	malformed := json.Unmarshal(data, &got) != nil
	switch {
	case response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden:
		return false, fmt.Errorf("asking Prometheus: %s: %w", response.Status, fleet.ErrDenied)
	case !malformed && got.Status == "error" && response.StatusCode < http.StatusInternalServerError:
		return false, fmt.Errorf("asking Prometheus: the query is refused: %s", got.Error)
	case response.StatusCode != http.StatusOK || malformed || got.Status != "success":
		return false, fmt.Errorf("asking Prometheus: %s: %w", response.Status, fleet.ErrUnavailable)
	}
	return got.holds()
}

// holds reports a sample that shows something.
func (a answer) holds() (bool, error) {
	switch a.Data.ResultType {
	case "vector", "matrix":
		var series []struct {
			Value  json.RawMessage   `json:"value"`
			Values []json.RawMessage `json:"values"`
		}
		if err := json.Unmarshal(a.Data.Result, &series); err != nil {
			return false, fmt.Errorf("reading the answer of Prometheus: %w", err)
		}
		for _, s := range series {
			for _, sample := range append(s.Values, s.Value) {
				if shows(sample) {
					return true, nil
				}
			}
		}
		return false, nil
	case "scalar":
		return shows(a.Data.Result), nil
	}
	return false, errors.New("reading the answer of Prometheus: the query gives " + a.Data.ResultType + ", not samples")
}

// shows reports a sample, [time, "value"], that is neither zero nor NaN. A
// native histogram is no text and does not count: ask for its count.
func shows(sample json.RawMessage) bool {
	var pair []any
	if json.Unmarshal(sample, &pair) != nil || len(pair) != 2 {
		return false
	}
	text, _ := pair[1].(string)
	value, err := strconv.ParseFloat(text, 64)
	return err == nil && value != 0 && !math.IsNaN(value)
}
