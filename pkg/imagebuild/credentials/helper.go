package credentials

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
)

const (
	helperPrefix = "docker-credential-"
	// tokenUser is the user name that says that the secret is an identity
	// token, which the token server exchanges.
	tokenUser = "<token>"
	// notFound is what helpers print when they have nothing.
	// docker-credential-helpers, credentials/error.go.
	notFound = "credentials not found in native keychain"
	// fresh is how long an answer is used: the tokens that helpers hand out
	// live for an hour at least.
	fresh = 5 * time.Minute
	// afterwards is how long a helper that was ended may keep its output open.
	afterwards = time.Second
)

// question is what a helper is asked.
type question struct{ program, server string }

// helpers runs helper programs.
type helpers struct {
	timeout time.Duration
	now     func() time.Time

	mu    sync.Mutex
	asked map[question]*answer
}

// answer of a helper, once it is done.
type answer struct {
	done    chan struct{}
	waiting int // who wait for it
	end     context.CancelFunc

	config authn.AuthConfig
	found  bool
	err    error
	at     time.Time
}

// ask returns a helper's answer: the last one while it is fresh, even where
// that is an error, else a new one, together with everybody who asks the same
// meanwhile. Who leaves first does not end it for the others.
func (h *helpers) ask(ctx context.Context, q question) (config authn.AuthConfig, found bool, err error) {
	h.mu.Lock()
	a := h.asked[q]
	if a != nil && h.stale(a) {
		a = nil
	}
	if a == nil {
		a = h.start(ctx, q)
	}
	a.waiting++
	h.mu.Unlock()
	select {
	case <-a.done:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if a.waiting--; err != nil {
		if a.waiting == 0 && h.asked[q] == a && a.running() {
			delete(h.asked, q) // ended for want of interest, which is no answer
			a.end()
		}
		return authn.AuthConfig{}, false, fmt.Errorf("waiting for %s: %w", q, err)
	}
	return a.config, a.found, a.err
}

func (a *answer) running() bool {
	select {
	case <-a.done:
		return false
	default:
		return true
	}
}

// stale reports an answer that is too old; h.mu is held.
func (h *helpers) stale(a *answer) bool {
	return !a.running() && h.now != nil && h.now().Sub(a.at) > fresh
}

// start runs a helper; h.mu is held.
func (h *helpers) start(ctx context.Context, q question) *answer {
	ctx, end := context.WithTimeout(context.WithoutCancel(ctx), h.timeout)
	a := &answer{done: make(chan struct{}), end: end}
	h.asked[q] = a
	go func() {
		defer end()
		a.config, a.found, a.err = q.run(ctx)
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			a.err = fmt.Errorf("asking %s: no answer within %s; it was ended", q, h.timeout)
		}
		if h.now != nil {
			a.at = h.now()
		}
		close(a.done)
	}()
	return a
}

// String names the program and what it is asked.
func (q question) String() string {
	return helperPrefix + q.program + " for the credentials of " + q.server
}

// run asks once.
func (q question) run(ctx context.Context) (config authn.AuthConfig, found bool, err error) {
	if strings.ContainsAny(q.program, `/\`) {
		return config, false, fmt.Errorf("asking %s: a helper is named without its folder", q)
	}
	cmd := exec.CommandContext(ctx, helperPrefix+q.program, "get") //nolint:gosec // the user's own configuration names it
	var out, said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(q.server), &out, &said
	endTogether(cmd)
	cmd.WaitDelay = afterwards
	// What a helper leaves running behind itself may keep its output open.
	if err := cmd.Run(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		text := strings.TrimSpace(out.String())
		if text == notFound {
			return config, false, nil
		}
		// Helpers print errors to stdout; some to stderr, or to both.
		if text == "" {
			text = strings.TrimSpace(said.String())
		}
		if text != "" {
			return config, false, fmt.Errorf("asking %s: %w: %s", q, err, lastLine(text))
		}
		return config, false, fmt.Errorf("asking %s: %w", q, err)
	}
	var got struct{ Username, Secret string }
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		// The answer itself may be a secret.
		return config, false, fmt.Errorf("asking %s: its answer is no JSON object with Username and Secret", q)
	}
	if got.Username == tokenUser {
		return authn.AuthConfig{IdentityToken: got.Secret}, true, nil
	}
	return authn.AuthConfig{Username: got.Username, Password: got.Secret}, true, nil
}

func lastLine(text string) string {
	const most = 300
	text = text[strings.LastIndexByte(text, '\n')+1:]
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// helped are credentials that a helper renews.
type helped struct {
	helpers  *helpers
	question question
}

// Authorization implements authn.Authenticator.
func (h *helped) Authorization() (*authn.AuthConfig, error) {
	return h.AuthorizationContext(context.Background()) //nolint:forbidigo // the interface has no context; AuthorizationContext is what is called
}

// AuthorizationContext implements authn.ContextAuthenticator.
func (h *helped) AuthorizationContext(ctx context.Context) (*authn.AuthConfig, error) {
	config, _, err := h.helpers.ask(ctx, h.question)
	if err != nil {
		return nil, err
	}
	return &config, nil
}
