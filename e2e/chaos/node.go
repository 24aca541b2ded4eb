package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"dms/e2e"
)

const (
	apiPort   = "8080"
	adminPort = "9090"
	routePort = "6222"

	startLimit = 3 * time.Minute // a whole catch-up included
	stopLimit  = time.Minute
	awaitEvery = 20 * time.Millisecond
)

// await polls until a condition gives no error. The last one is in the error when the
// context ends.
func await(ctx context.Context, what string, condition func() error) error {
	tick := time.NewTicker(awaitEvery)
	defer tick.Stop()
	for {
		last := condition()
		if last == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited in vain for %s: %w", what, last)
		case <-tick.C:
		}
	}
}

// node is one process with its disk and network.
type node struct {
	index  int
	name   string
	build  string
	config string // file
	net    network
	disk   *disk
	log    io.Writer // gets what every run of the node writes

	mu   sync.Mutex
	proc *e2e.Process // nil when it is down on purpose
}

func (n *node) url() string { return "http://" + net.JoinHostPort(n.net.address(n.index), apiPort) }

// data is the folder of the member's files.
func (n *node) data() string { return filepath.Join(n.disk.mount, "data") }

// start runs the node. It need not be ready yet.
func (n *node) start() error { return n.startAs(n.build) }

// startAs runs another build, with variables of its own.
func (n *node) startAs(build string, variables ...string) error {
	// nsenter becomes the service, so that signals reach that.
	cmd := exec.Command("nsenter", "--net="+n.net.path(n.index), "--", binary(build), "serve", "--config", n.config)
	cmd.Env = variables
	p, err := e2e.Launch(cmd, n.log)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.proc = p
	return nil
}

func (n *node) process() *e2e.Process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.proc
}

func (n *node) down() *e2e.Process {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.proc
	n.proc = nil
	return p
}

// errEnded is the error of a node that ended by itself.
var errEnded = errors.New("ended by itself")

// ready asks the node whether it serves.
func (n *node) ready(ctx context.Context) error {
	p := n.process()
	if p == nil {
		return errors.New("it is down")
	}
	select {
	case <-p.Exited():
		return fmt.Errorf("%s %w: %.600s", n.name, errEnded, lastLine(p.Log()))
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	url := "http://" + net.JoinHostPort(n.net.address(n.index), adminPort) + "/readyz"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := probes.RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s says %d %s", n.name, res.StatusCode, text)
	}
	return err
}

// probes make a connection for each question: one that a partition broke tells nothing.
var probes = &http.Transport{DisableKeepAlives: true}

// stacksLimit is how long a process may take to write what it is doing.
const stacksLimit = 10 * time.Second

// awaitReady waits until the node serves, but not for one that has ended. One that does
// not get there is ended, and its log then has what all of it was waiting for.
func (n *node) awaitReady(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	var ended error
	err := await(limited, n.name+" to be ready", func() error {
		err := n.ready(ctx)
		if errors.Is(err, errEnded) {
			ended = err
			return nil
		}
		return err
	})
	if p := n.process(); err != nil && ctx.Err() == nil && p != nil {
		err = errors.Join(err, p.Signal(syscall.SIGQUIT))
		select {
		case <-p.Exited():
		case <-time.After(stacksLimit):
		}
	}
	return errors.Join(err, ended)
}

// kill ends the node as a crash would. One that is down stays so.
func (n *node) kill() error {
	if p := n.down(); p != nil {
		return p.Kill()
	}
	return nil
}

// stop ends the node in order.
func (n *node) stop(ctx context.Context) error {
	p := n.down()
	if p == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	return p.Stop(ctx)
}

// pause keeps the process from running, and resume lets it go on.
func (n *node) pause() error  { return n.signal(syscall.SIGSTOP) }
func (n *node) resume() error { return n.signal(syscall.SIGCONT) }

func (n *node) signal(s syscall.Signal) error {
	if p := n.process(); p != nil {
		return p.Signal(s)
	}
	return nil
}

// lastLine is where a process says why it ends.
func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndex(s, "\n")+1:]
}
