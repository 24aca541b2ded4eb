package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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

// Build builds the product's binary into a folder and returns its path. Flags are for
// the compiler.
func Build(ctx context.Context, folder string, flags ...string) (string, error) {
	source, err := Source(ctx)
	if err != nil {
		return "", err
	}
	binary := filepath.Join(folder, "dms")
	args := append([]string{"build", "-o", binary}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "./cmd/dms")...)
	cmd.Dir = source
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the product: %w\n%s", err, out)
	}
	return binary, nil
}

// Source returns the folder of the product's source. It is asked for in a folder of this
// module, which requires the product.
func Source(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "dms").Output()
	if err != nil {
		return "", fmt.Errorf("find the product's source: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Process is one run of the service. Whoever starts it ends it, by Stop or by Kill.
type Process struct {
	Env Env // of one that Start started

	cmd    *exec.Cmd
	stderr *output
	exited chan struct{}
	err    error // how it ended; read after exited is closed
}

// Launch runs a command of the service. What it writes to standard error also goes to
// the writer, unless that is nil.
func Launch(cmd *exec.Cmd, also io.Writer) (*Process, error) {
	p := &Process{cmd: cmd, stderr: newOutput(""), exited: make(chan struct{})}
	// Variables of a shell that talks to another service must not matter here.
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "DMS_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Stderr = p.stderr
	if also != nil {
		cmd.Stderr = io.MultiWriter(p.stderr, also)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the service: %w", err)
	}
	go func() { // ends with the process, which Stop and Kill await
		p.err = cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// Start runs "dms dev" on free ports with its data in folder, and returns when it is
// ready. A folder that was used before is taken up again.
func Start(ctx context.Context, binary, folder string) (*Process, error) {
	cmd := exec.Command(binary, "dev",
		"--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", folder)
	stdout := newOutput(readyLine)
	cmd.Stdout = stdout
	p, err := Launch(cmd, nil)
	if err != nil {
		return nil, err
	}

	ctx, cancel := context.WithTimeout(ctx, StartLimit)
	defer cancel()
	select {
	case <-stdout.seen:
	case <-p.exited:
		return nil, fmt.Errorf("the service ended instead of getting ready: %w\n%s", errors.Join(p.err), p.stderr)
	case <-ctx.Done():
		return nil, errors.Join(fmt.Errorf("the service did not get ready: %w\n%s", ctx.Err(), p.stderr), p.Kill())
	}
	if p.Env, err = ReadEnv(filepath.Join(folder, "dev.env")); err != nil {
		return nil, errors.Join(err, p.Kill())
	}
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
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return err
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

// Signal sends a signal. One that has ended takes none, without an error.
func (p *Process) Signal(sig os.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%v to the service: %w", sig, err)
	}
	return nil
}

// Pid is the process's number.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Exited is closed when the process has ended, for whatever reason.
func (p *Process) Exited() <-chan struct{} { return p.exited }

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
