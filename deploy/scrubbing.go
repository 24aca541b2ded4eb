package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

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
	// repairKey is the record that a node holds while it rebuilds a replica: there is one
	// for all nodes, so that never two replicas of a stream are rebuilt at once.
	repairKey = "scrub.repair"
	// repairStale is after which time without change the record counts as left behind.
	repairStale = 15 * time.Minute
	repairLook  = time.Second
	// Sizes of the pieces of an answer.
	replicasOfPart = 1000
	sumsOfPart     = 4000
	// queuePrefix begins the names of streams that hold messages of queues and nothing
	// else: they lose some at their front only.
	queuePrefix = "q_"
)

// scrubbing lets a scrubber work on the member of a seat, and speak through the control
// account.
type scrubbing struct {
	seat  *engine.Seat
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
	b := &scrubbing{seat: one.Seat, store: store, node: n.config.Node, run: newRun()}
	o := n.config.Scrub
	s, err := scrub.Start(scrub.Options{
		Replicas: b.replicas, Store: one.Store(), Others: b.others, Nodes: replicas - 1,
		StepDown: b.stepDown, Rebuild: b.rebuild,
		Every: o.Every, ReadEvery: o.ReadEvery, BytesPerSecond: int64(o.BytesPerSecond), Log: n.log,
	})
	if err != nil {
		return err
	}
	n.scrub.Store(s)
	stop, err := store.Serve(scrubTopic, n.config.Node, func(context.Context) ([][]byte, error) { return encodeWords(s) },
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
		n.passOn(ctx, store)
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
	Sums     []sums          `json:"s,omitempty"`
	Suspect  []scrub.Key     `json:"x,omitempty"`
}

type sums struct {
	scrub.Key
	Sums []scrub.Sum `json:"v"`
}

func encodeWords(s *scrub.Scrubber) ([][]byte, error) {
	all, err := s.Words()
	if err != nil {
		return nil, err
	}
	first := words{}
	for k := range all.Suspect {
		first.Suspect = append(first.Suspect, k)
	}
	pieces := []words{first}
	for chunk := range slices.Chunk(all.Replicas, replicasOfPart) {
		pieces = append(pieces, words{Replicas: chunk})
	}
	var next words
	size := 0
	for k, of := range all.Sums {
		if len(of) == 0 {
			next.Sums = append(next.Sums, sums{Key: k})
		}
		for chunk := range slices.Chunk(of, sumsOfPart) {
			next.Sums = append(next.Sums, sums{k, chunk})
			if size += len(chunk) + 4; size > sumsOfPart {
				pieces, next, size = append(pieces, next), words{}, 0
			}
		}
	}
	pieces = append(pieces, next)
	out := make([][]byte, len(pieces))
	for i, p := range pieces {
		if out[i], err = json.Marshal(p); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func decodeWords(parts [][]byte) (scrub.Words, error) {
	w := scrub.Words{Sums: make(map[scrub.Key][]scrub.Sum), Suspect: make(map[scrub.Key]bool)}
	for _, raw := range parts {
		var p words
		if err := json.Unmarshal(raw, &p); err != nil {
			return w, err
		}
		w.Replicas = append(w.Replicas, p.Replicas...)
		for _, s := range p.Sums {
			w.Sums[s.Key] = append(w.Sums[s.Key], s.Sums...)
		}
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
			First: r.First, Last: r.Last, Messages: r.Messages, Bytes: r.Bytes, Led: r.Led,
			Whole: strings.HasPrefix(r.Stream, queuePrefix),
		}
	}
	return all, nil
}

func (b *scrubbing) others(ctx context.Context) ([]scrub.Words, error) {
	answers, err := b.store.Ask(ctx, scrubTopic, replicas, scrubWithin)
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

// rebuild removes the files of a stream while the member does not run. It catches up from
// the leader when it runs again. What is removed is kept aside until then.
func (b *scrubbing) rebuild(ctx context.Context, k scrub.Key, ready func(context.Context) error) (err error) {
	release, err := b.lock(ctx)
	if err != nil {
		return fmt.Errorf("wait for other repairs: %w", err)
	}
	defer func() { err = errors.Join(err, release()) }()
	if err := ready(ctx); err != nil {
		return err
	}
	err = b.seat.Work(ctx, func(store string) error {
		return os.RemoveAll(scrub.StreamFolder(store, k))
	})
	if err != nil {
		return fmt.Errorf("remove the replica: %w", err)
	}
	return b.seat.Ready(ctx)
}

// lock waits until this node may repair. Nobody's clock is compared with another's: the
// record of a node that died is taken when it has not changed for long.
func (b *scrubbing) lock(ctx context.Context) (release func() error, err error) {
	value := []byte(b.node + "." + b.run)
	var last uint64
	var since time.Time
	for {
		there, err := b.store.Get(ctx, repairKey)
		if err != nil {
			return nil, err
		}
		if there.Revision != last || last == 0 {
			last, since = there.Revision, time.Now()
		}
		own := strings.HasPrefix(string(there.Value), b.node+".") // of an earlier run
		if there.Revision == 0 || own || time.Since(since) > repairStale {
			_, err := b.store.Put(ctx, repairKey, value, there.Revision)
			if err == nil {
				return b.unlock, nil
			}
			if !errors.Is(err, control.ErrConflict) {
				return nil, err
			}
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(repairLook):
		}
	}
}

func (b *scrubbing) unlock() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return b.store.Delete(ctx, repairKey)
}

// suspect has all nodes compare their replicas soon, because a reader has come across
// something. It does not wait.
func (n *Node) suspect() {
	select {
	case n.suspects <- struct{}{}:
	default: // it is on its way already
	}
}

// passOn asks the nodes to compare, now and then at most, until the node stops.
func (n *Node) passOn(ctx context.Context, store *control.Store) {
	for {
		select {
		case <-ctx.Done():
			return
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
	return monitor.Scrubbed(s.Counts())
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
