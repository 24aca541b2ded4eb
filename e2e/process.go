package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// StartLimit is how long a start may take. After a kill, three replicas elect leaders
// before the service is ready.
const StartLimit = 90 * time.Second

// readyLine starts the line that the service prints when it can serve.
const readyLine = "dms: ready on "

// Build builds the product's binary into a folder and returns its path. It is called
// from this module's folder, whose parent is the product's.
func Build(ctx context.Context, folder string) (string, error) {
	binary := filepath.Join(folder, "dms")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/dms")
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the product: %w\n%s", err, out)
	}
	return binary, nil
}

// Process is one run of the service with a data folder. Whoever starts it ends it, by
// Stop or by Kill.
type Process struct {
	Env Env

	cmd    *exec.Cmd
	stderr *output
	exited chan struct{}
	err    error // how it ended; read after exited is closed
}

// Start runs "dms dev" on free ports with its data in folder, and returns when it is
// ready. A folder that was used before is taken up again.
func Start(ctx context.Context, binary, folder string) (*Process, error) {
	p := &Process{
		cmd: exec.Command(binary, "dev",
			"--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", folder),
		stderr: newOutput(""),
		exited: make(chan struct{}),
	}
	// Variables of a shell that talks to another service must not matter here.
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "DMS_") {
			p.cmd.Env = append(p.cmd.Env, v)
		}
	}
	stdout := newOutput(readyLine)
	p.cmd.Stdout, p.cmd.Stderr = stdout, p.stderr
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the service: %w", err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()

	ctx, cancel := context.WithTimeout(ctx, StartLimit)
	defer cancel()
	select {
	case <-stdout.seen:
	case <-p.exited:
		return nil, fmt.Errorf("the service ended instead of getting ready: %w\n%s", errors.Join(p.err), p.stderr)
	case <-ctx.Done():
		return nil, errors.Join(fmt.Errorf("the service did not get ready: %w\n%s", ctx.Err(), p.stderr), p.Kill())
	}
	env, err := ReadEnv(filepath.Join(folder, "dev.env"))
	if err != nil {
		return nil, errors.Join(err, p.Kill())
	}
	p.Env = env
	return p, nil
}

// Stop ends the service in order and waits for it. An exit code other than 0 is an
// error; a service that does not end before ctx does is killed. Stopping one that has
// been killed does nothing.
func (p *Process) Stop(ctx context.Context) error {
	select {
	case <-p.exited:
		return nil
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop the service: %w", err)
	}
	select {
	case <-p.exited:
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("the service did not stop: %w\n%s", ctx.Err(), p.stderr), p.Kill())
	}
	if p.err != nil {
		return fmt.Errorf("the service did not stop in order: %w\n%s", p.err, p.stderr)
	}
	return nil
}

// Kill ends the service as a crash would, without giving it a chance to write anything,
// and waits until it is gone.
func (p *Process) Kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill the service: %w", err)
	}
	<-p.exited // a killed process cannot refuse
	return nil
}

// Log returns the end of what the service wrote to standard error.
func (p *Process) Log() string { return p.stderr.String() }

// output keeps the end of what is written to it and tells when a line starts with a text.
type output struct {
	prefix string
	seen   chan struct{} // closed when the line has come to its end

	mu   sync.Mutex
	line []byte // the unfinished line, while the text has not been seen
	last []byte
	done bool
}

// keptOutput is how much is shown of the output of a process that failed.
const keptOutput = 32 << 10

func newOutput(prefix string) *output {
	return &output{prefix: prefix, seen: make(chan struct{}), done: prefix == ""}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = append(o.last, p...)
	if excess := len(o.last) - keptOutput; excess > 0 {
		o.last = append(o.last[:0], o.last[excess:]...)
	}
	if o.done {
		return len(p), nil
	}
	o.line = append(o.line, p...)
	for {
		line, rest, whole := bytes.Cut(o.line, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		o.line = rest
		if bytes.HasPrefix(line, []byte(o.prefix)) {
			o.done, o.line = true, nil
			close(o.seen)
			return len(p), nil
		}
	}
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.last)
}
