package chaos

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"sync"
)

// leaders knows who leads what, from what the nodes log when they begin to lead, and what
// they say of damage. It is late by as much as the log is.
type leaders struct {
	mu     sync.Mutex
	of     map[string]int // node by stream, or by stream and consumer, or metaGroup
	health map[int]health // by node
	// bad are lines of a program that broke down.
	bad []string
}

// metaGroup is the log that decides where streams are.
const metaGroup = "meta"

// health is what a node has said of its replicas.
type health struct {
	readings    int // of its messages after a start, to the end
	found, made int // replicas that are damaged, and those that were rebuilt
}

func newLeaders() *leaders {
	return &leaders{of: make(map[string]int), health: make(map[int]health)}
}

var (
	newStreamLeader   = regexp.MustCompile(`new stream leader for '\S+ > ([^\s']+)'`)
	newConsumerLeader = regexp.MustCompile(`new consumer leader for '\S+ > (\S+) > ([^\s']+)'`)
	newMetaLeader     = []byte("Self is new JetStream cluster metadata leader")

	wasRead    = []byte(`"replicas were read and compared after the start"`)
	isDamaged  = []byte(`"a replica is damaged: it is kept from leading and rebuilt"`)
	wasRebuilt = []byte(`"a replica was rebuilt from the others"`)
)

// breakdown finds what the language's own runtime says before it ends a program.
var breakdown = regexp.MustCompile(`^(panic: |fatal error: |WARNING: DATA RACE|SIG[A-Z]+: )`)

// alarms returns what nodes said when they broke down, once.
func (l *leaders) alarms() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	bad := l.bad
	l.bad = nil
	return bad
}

func (l *leaders) read(node int, line []byte) {
	if breakdown.Match(line) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.bad = append(l.bad, fmt.Sprintf("n%d: %s", node+1, line))
		return
	}
	who := ""
	switch {
	case bytes.Contains(line, wasRead):
		l.note(node, health{readings: 1})
	case bytes.Contains(line, isDamaged):
		l.note(node, health{found: 1})
	case bytes.Contains(line, wasRebuilt):
		l.note(node, health{made: 1})
	case bytes.Contains(line, newMetaLeader):
		who = metaGroup
	case bytes.Contains(line, []byte(" leader for ")):
		if m := newStreamLeader.FindSubmatch(line); m != nil {
			who = string(m[1])
		} else if m := newConsumerLeader.FindSubmatch(line); m != nil {
			who = string(m[1]) + " " + string(m[2])
		}
	}
	if who == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of[who] = node
}

func (l *leaders) note(node int, more health) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.health[node]
	l.health[node] = health{h.readings + more.readings, h.found + more.found, h.made + more.made}
}

// said tells what a node has said of its replicas so far.
func (l *leaders) said(node int) health {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.health[node]
}

// leads tells who leads, if it is known.
func (l *leaders) leads(what string) (node int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	node, ok = l.of[what]
	return node, ok
}

// follow returns a writer for the log of a node, which also goes to another writer.
func (l *leaders) follow(node int, to io.Writer) io.Writer {
	return &follower{leaders: l, node: node, to: to}
}

type follower struct {
	leaders *leaders
	node    int
	to      io.Writer

	mu   sync.Mutex // one run of a node may still write when the next one begins
	rest []byte
}

func (f *follower) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rest = append(f.rest, p...)
	for {
		line, rest, whole := bytes.Cut(f.rest, []byte("\n"))
		if !whole {
			break
		}
		f.leaders.read(f.node, line)
		f.rest = rest
	}
	f.rest = bytes.Clone(f.rest)
	return f.to.Write(p)
}
