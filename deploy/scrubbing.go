package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"dms/deploy/disk"
	"dms/deploy/engine"
	"dms/deploy/scrub"
	"dms/mapping/control"
	"dms/monitor"
	"dms/monitor/cluster"
	"dms/tenancy"
)

const (
	scrubTopic   = "scrub"
	suspectTopic = "suspect"
	suspectEvery = 5 * time.Second
	scrubWithin  = 5 * time.Second
	askToRead    = "/read" // ends a question about a stream that is to be read soon
	// Sizes of the pieces of an answer.
	replicasOfPart = 1000
	sumsOfPart     = 2000
	// queuePrefix begins the names of streams that hold messages of queues and nothing
	// else: they lose some at their front only.
	queuePrefix = "q_"
)

// scrubbing lets a scrubber work on the member of a seat, and speak through the control
// account.
type scrubbing struct {
	seat  *engine.Seat
	disk  *disk.Watch
	store *control.Store
	node  string
	run   string
}

// startScrub scrubs the replicas of a node that stores by one member.
func (n *Node) startScrub(store *control.Store) error {
	one, ok := n.storage.(oneMember)
	if !ok {
		return nil
	}
	b := &scrubbing{seat: one.Seat, disk: n.disk, store: store, node: n.config.Node, run: newRun()}
	// The member is ready, so what it was rebuilt from in an earlier run is whole.
	if err := os.RemoveAll(b.aside()); err != nil {
		return fmt.Errorf("remove a damaged replica: %w", err)
	}
	o := n.config.Scrub
	s, err := scrub.Start(scrub.Options{
		Replicas: b.replicas, Store: one.Store(), Others: b.others, Nodes: replicas - 1,
		StepDown: b.stepDown, Rebuild: b.rebuild,
		AtStart: o.AtStart, Every: o.Every, ReadEvery: o.ReadEvery, BytesPerSecond: int64(o.BytesPerSecond), Unreadable: n.config.Disk.Encrypted, Log: n.log,
	})
	if err != nil {
		return err
	}
	n.scrub.Store(s)
	stop, err := store.ServeAbout(scrubTopic, n.config.Node, func(_ context.Context, about string) ([][]byte, error) { return encodeWords(s, about) },
		func(err error) { n.log.Debug("this node could not tell what it stores", "err", err) })
	if err != nil {
		s.Close()
		return err
	}
	heard, err := store.Serve(suspectTopic, n.config.Node, func(context.Context) ([][]byte, error) {
		s.Now()
		s.ReadNow() // what one message lacks shows in no count
		return [][]byte{nil}, nil
	}, func(error) {})
	if err != nil {
		s.Close()
		stop()
		return err
	}
	ctx, cancel := context.WithCancel(n.base)
	done := make(chan struct{})
	go func() { // ends with ctx, and is waited for
		defer close(done)
		n.passOn(ctx, store, s, one.Unreadable())
	}()
	n.stops.add("scrub", func(context.Context) error {
		cancel()
		<-done
		heard()
		s.Close()
		stop()
		return nil
	})
	return nil
}

// words is a piece of what a node says of its replicas.
type words struct {
	Replicas []scrub.Replica `json:"r,omitempty"`
	Sums     []scrub.Sum     `json:"s,omitempty"`
	Suspect  []scrub.Key     `json:"x,omitempty"`
}

// encodeWords answers what the stream that is asked about comes to, or, if it is about
// none, all of what is stored.
func encodeWords(s *scrub.Scrubber, about string) ([][]byte, error) {
	var one *scrub.Question
	if account, stream, ok := strings.Cut(about, "/"); ok {
		one = &scrub.Question{}
		stream, one.Read = strings.CutSuffix(stream, askToRead)
		one.Key = scrub.Key{Account: account, Stream: stream}
	}
	all, err := s.Words(one)
	if err != nil {
		return nil, err
	}
	if one != nil {
		all.Replicas = nil
	}
	first := words{}
	for k := range all.Suspect {
		first.Suspect = append(first.Suspect, k)
	}
	pieces := []words{first}
	for chunk := range slices.Chunk(all.Replicas, replicasOfPart) {
		pieces = append(pieces, words{Replicas: chunk})
	}
	for chunk := range slices.Chunk(all.Sums, sumsOfPart) {
		pieces = append(pieces, words{Sums: chunk})
	}
	out := make([][]byte, len(pieces))
	for i, p := range pieces {
		if out[i], err = json.Marshal(p); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func decodeWords(parts [][]byte) (scrub.Words, error) {
	w := scrub.Words{Suspect: make(map[scrub.Key]bool)}
	for _, raw := range parts {
		var p words
		if err := json.Unmarshal(raw, &p); err != nil {
			return w, err
		}
		w.Replicas = append(w.Replicas, p.Replicas...)
		w.Sums = append(w.Sums, p.Sums...)
		for _, k := range p.Suspect {
			w.Suspect[k] = true
		}
	}
	return w, nil
}

func (b *scrubbing) replicas() ([]scrub.Replica, error) {
	m := b.seat.Member()
	if m == nil {
		return nil, engine.ErrStopped
	}
	found, err := m.Replicas()
	if err != nil {
		return nil, err
	}
	all := make([]scrub.Replica, len(found))
	for i, r := range found {
		all[i] = scrub.Replica{
			Key: scrub.Key{Account: r.Account, Stream: r.Stream}, Project: r.Name, Made: r.Made,
			First: r.First, FirstAt: r.FirstAt, Last: r.Last, Messages: r.Messages, Bytes: r.Bytes, Led: r.Led, Keep: r.Keep,
			Whole: strings.HasPrefix(r.Stream, queuePrefix),
		}
	}
	return all, nil
}

func (b *scrubbing) others(ctx context.Context, q *scrub.Question) ([]scrub.Words, error) {
	about := ""
	if q != nil {
		about = q.Account + "/" + q.Stream
		if q.Read {
			about += askToRead
		}
	}
	answers, err := b.store.AskAbout(ctx, scrubTopic, about, replicas, scrubWithin)
	if err != nil {
		return nil, err
	}
	var all []scrub.Words
	for _, a := range answers {
		if a.Node == b.node {
			continue
		}
		w, err := decodeWords(a.Parts)
		if err != nil {
			return nil, fmt.Errorf("answer of %s: %w", a.Node, err)
		}
		all = append(all, w)
	}
	return all, nil
}

func (b *scrubbing) stepDown(k scrub.Key) error {
	m := b.seat.Member()
	if m == nil {
		return nil // it leads nothing
	}
	return m.StepAside(k.Account, k.Stream)
}

// suspect has all nodes compare their replicas soon, because a reader has come across
// something. It does not wait.
func (n *Node) suspect() {
	select {
	case n.suspects <- struct{}{}:
	default: // it is on its way already
	}
}

// passOn hears what readers and the storage come across, until the node stops: streams
// that the storage cannot read are looked into, and what readers miss makes all nodes
// compare, now and then at most.
func (n *Node) passOn(ctx context.Context, store *control.Store, s *scrub.Scrubber, unreadable <-chan string) {
	for {
		select {
		case <-ctx.Done():
			return
		case stream := <-unreadable:
			s.LookInto(stream)
			continue
		case <-n.suspects:
		}
		if _, err := store.Ask(ctx, suspectTopic, replicas, scrubWithin); err != nil && ctx.Err() == nil {
			n.log.Warn("the nodes cannot be asked to compare what they store", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(suspectEvery):
		}
	}
}

// scrubbed is what scrubbing has come to.
func (n *Node) scrubbed() monitor.Scrubbed {
	s := n.scrub.Load()
	if s == nil {
		return monitor.Scrubbed{}
	}
	c := s.Counts()
	return monitor.Scrubbed{Passes: c.Passes, Readings: c.Readings, Bytes: c.Bytes, Found: c.Found, Repaired: c.Repaired}
}

// scrubState is scrubbed for operators; nil while nothing is scrubbed.
func (n *Node) scrubState() *cluster.Scrub {
	s := n.scrub.Load()
	if s == nil {
		return nil
	}
	c := s.Counts()
	out := &cluster.Scrub{Comparisons: c.Passes, Readings: c.Readings, Found: c.Found, Repaired: c.Repaired}
	if !c.Passed.IsZero() {
		at := c.Passed.UTC()
		out.Compared = &at
	}
	if !c.Read.IsZero() {
		at := c.Read.UTC()
		out.Read = &at
	}
	return out
}

func (n *Node) findings() []cluster.Finding {
	s := n.scrub.Load()
	if s == nil {
		return nil
	}
	var all []cluster.Finding
	for _, f := range s.Findings() {
		project := f.Project
		if _, err := tenancy.ParseProjectID(project); err != nil {
			project = ""
		}
		all = append(all, cluster.Finding{At: f.At, Member: n.config.Node, Project: project, Stream: f.Key.Stream, What: f.What, State: f.State})
	}
	return all
}
