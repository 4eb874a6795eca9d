package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// program is a running process with its output in a file.
type program struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended
}

// run starts a program that Close stops.
func (c *ControlPlane) run(ctx context.Context, name string, args ...string) error {
	p, err := launch(ctx, c.opt, name, args...)
	if err == nil {
		c.programs = append(c.programs, p)
	}
	return err
}

// launch starts a program. It outlives ctx: only stop ends it, or the end of
// this process.
func launch(ctx context.Context, o Options, name string, args ...string) (*program, error) {
	p := &program{name: name, log: filepath.Join(o.Dir, name+".log"), done: make(chan struct{})}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	defer func() { _ = out.Close() }()                                                           // the process has its own
	p.cmd = exec.CommandContext(context.WithoutCancel(ctx), filepath.Join(o.Bin, name), args...) //nolint:gosec // of the folder that Options name
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Dir, p.cmd.Env = out, out, o.Dir, []string{"HOME=" + o.Dir}
	dieWithParent(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in the log
		close(p.done)
	}()
	return p, nil
}

func (p *program) exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// stop asks the process to end, and after a while ends it.
func (p *program) stop() error {
	if p == nil || p.exited() {
		return nil
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping %s: %w", p.name, err)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(5 * time.Second): // the API server waits for watches to end
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping %s: %w", p.name, err)
	}
	<-p.done
	return nil
}

// tail is the end of what it said.
func (p *program) tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}
