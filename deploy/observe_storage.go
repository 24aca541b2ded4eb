package deploy

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"dms/deploy/engine"
	"dms/facade"
	"dms/mapping"
	"dms/mapping/control"
	"dms/monitor"
	"dms/monitor/sample"
	"dms/monitor/watch"
	"dms/tenancy"
	"dms/tenancy/registry"

	"github.com/nats-io/nats-server/v2/server"
)

// newRun names a run of this process.
func newRun() string { return rand.Text() }

// part is a piece of what one node says of itself.
type part struct {
	Run     string               `json:"run"`
	Logs    []mapping.LogFigures `json:"logs,omitempty"`
	Traffic []sample.Counted     `json:"traffic,omitempty"`
}

// Sizes of the pieces: what fits into a message of half a megabyte many times over.
const (
	logsOfPart    = 200
	trafficOfPart = 2000
)

// answers says what the members in this process store and what passed through it.
type answers struct {
	members func() []*engine.Member
	traffic *sample.Traffic
	run     string
}

func (a *answers) parts(context.Context) ([][]byte, error) {
	var all []mapping.LogFigures
	for _, m := range a.members() {
		found, err := readMember(m, nil)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return encodeParts(a.run, all, a.traffic.Counted(time.Now()))
}

// encodeParts cuts an answer into pieces, of which there is always one.
func encodeParts(run string, logs []mapping.LogFigures, traffic []sample.Counted) ([][]byte, error) {
	pieces := []part{{Run: run}}
	for chunk := range slices.Chunk(logs, logsOfPart) {
		pieces = append(pieces, part{Run: run, Logs: chunk})
	}
	for chunk := range slices.Chunk(traffic, trafficOfPart) {
		pieces = append(pieces, part{Run: run, Traffic: chunk})
	}
	out := make([][]byte, len(pieces))
	for i, p := range pieces {
		var err error
		if out[i], err = json.Marshal(p); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// readMember reads what a member stores of projects, from memory. It also counts what
// the member is to the cluster into state, which may be nil.
func readMember(m *engine.Member, state *monitor.Node) ([]mapping.LogFigures, error) {
	info, err := m.Jsz(&server.JSzOptions{Accounts: true, Streams: true, Consumer: true, Limit: 1 << 20})
	if err != nil {
		return nil, fmt.Errorf("look at member %s: %w", m.Name(), err)
	}
	if state != nil {
		state.StoreUsed += int64(info.Store)
		state.StoreLimit += info.Config.MaxStore
		state.RaftGroups++ // the one of the cluster itself
		if info.Meta != nil {
			state.MetaLeader = state.MetaLeader || info.Meta.Leader == m.Name()
			state.MetaQuorum = state.MetaQuorum || info.Meta.Leader != ""
			state.MetaSees = info.Meta.Leader
		}
	}
	var all []mapping.LogFigures
	for _, account := range info.AccountDetails {
		project, err := tenancy.ParseProjectID(account.Name)
		for _, s := range account.Streams {
			led := countReplicas(state, s.Cluster, m.Name(), replicas)
			if state != nil && led {
				state.LedStreams++
			}
			log := mapping.LogFigures{
				Project: project, Name: s.Name, Led: led, Messages: s.State.Msgs, Bytes: s.State.Bytes,
				First: s.State.FirstSeq, Last: s.State.LastSeq, FirstAt: millis(s.State.FirstTime), LastAt: millis(s.State.LastTime),
			}
			for _, c := range s.Consumer {
				if !countReplicas(state, c.Cluster, m.Name(), 0) { // passing ones have one replica
					continue
				}
				if state != nil {
					state.LedConsumers++
				}
				log.Consumers = append(log.Consumers, mapping.ConsumerFigures{
					Name: c.Name, Pending: c.NumPending, Outstanding: uint64(c.NumAckPending), Waiting: uint64(c.NumWaiting),
					Delivered: c.Delivered.Stream, Floor: c.AckFloor.Stream,
				})
			}
			if !led {
				// That it is there must be known even while nobody leads it.
				log = mapping.LogFigures{Project: project, Name: s.Name, Consumers: log.Consumers}
			}
			if err == nil && log.OfQuota() {
				all = append(all, log)
			}
		}
	}
	return all, nil
}

// countReplicas reports whether the member leads the replicated log, and counts the log
// and the replicas of one that it leads. A replica of at least so many that takes no part
// yet is behind, and so is each replica of a log that nobody leads.
func countReplicas(state *monitor.Node, c *server.ClusterInfo, member string, least int) bool {
	if c == nil {
		return true // not replicated, so there is nobody else
	}
	led := c.Leader == member
	if state == nil {
		return led
	}
	state.RaftGroups++
	if c.Leader == "" {
		state.Behind++
	}
	if !led {
		return false
	}
	for _, p := range c.Replicas {
		switch {
		case p.Offline:
			state.Offline++
		case p.Current:
			state.Current++
		default:
			state.Behind++
		}
	}
	missing := max(least-1-len(c.Replicas), 0)
	if c.Desired != nil { // another one is to take part, or one of these no more
		missing = max(missing, 1)
	}
	state.Behind += missing
	return true
}

func millis(t time.Time) int64 {
	if t.IsZero() || t.Unix() <= 0 {
		return 0
	}
	return t.UnixMilli()
}

// collector asks all nodes and makes queues and groups of what they say.
type collector struct {
	store    *control.Store
	broker   *mapping.Broker
	registry *registry.Registry
	nodes    int
}

// projectsAtOnce bounds the projects that are read beside each other.
const projectsAtOnce = 4

// Collect implements watch.Collector.
func (c *collector) Collect(ctx context.Context) (watch.Collected, error) {
	found, err := c.store.Ask(ctx, figuresTopic, c.nodes, figuresWithin)
	if err != nil {
		return watch.Collected{}, err
	}
	if len(found) == 0 {
		return watch.Collected{}, errors.New("no node answers")
	}
	all := watch.Collected{At: time.Now(), Runs: make(map[string][]sample.Counted), Missing: c.nodes - len(found)}
	logs := make(map[tenancy.ProjectID][]mapping.LogFigures)
	for _, a := range found {
		for _, raw := range a.Parts {
			var p part
			if err := json.Unmarshal(raw, &p); err != nil {
				return watch.Collected{}, fmt.Errorf("answer of %s: %w", a.Node, err)
			}
			all.Runs[p.Run] = append(all.Runs[p.Run], p.Traffic...)
			for _, l := range p.Logs {
				logs[l.Project] = append(logs[l.Project], l)
			}
		}
	}
	projects := c.registry.All()
	all.Projects = make([]watch.Project, len(projects))
	var work sync.WaitGroup
	slots := make(chan struct{}, projectsAtOnce)
	for i, p := range projects {
		all.Projects[i] = watch.Project{Project: p}
		if len(logs[p.ID]) == 0 {
			continue // it has never stored anything
		}
		slots <- struct{}{}
		work.Go(func() {
			defer func() { <-slots }()
			one := &all.Projects[i]
			for _, l := range logs[p.ID] {
				if l.Led {
					one.Used += int64(l.Bytes)
				}
			}
			one.Queues, one.Err = c.broker.Figures(ctx, p.ID, logs[p.ID])
		})
	}
	work.Wait()
	return all, nil
}

// nodeStateFor is how long the state of the node is remembered: whoever scrapes often
// learns nothing new.
const nodeStateFor = time.Second

// exportNode exports the state of this node.
func (n *Node) exportNode(api *facade.API, tokens func() (recalled, verified int64)) error {
	var mu sync.Mutex
	var last monitor.Node
	var at time.Time
	return n.monitor.Node(func() monitor.Node {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(at) > nodeStateFor {
			last, at = n.state(), time.Now()
		}
		last.Ready = n.notReady() == ""
		last.Scrubbed = n.scrubbed()
		last.TokensRecalled, last.TokensVerified = tokens()
		last.Load = nil
		for _, l := range api.Load() {
			last.Load = append(last.Load, monitor.Load(l))
		}
		return last
	})
}

func (n *Node) state() monitor.Node {
	s := monitor.Node{DiskFree: -1}
	for _, m := range n.storage.Members() {
		// A member that is stopping says nothing; its figures are missing from the sums.
		if _, err := readMember(m, &s); err != nil && n.base.Err() == nil {
			n.log.Warn("the state of a member cannot be read", "err", err)
		}
	}
	var fs syscall.Statfs_t
	if syscall.Statfs(n.config.DataFolder, &fs) == nil {
		s.DiskFree = int64(fs.Bavail) * fs.Bsize
	}
	return s
}

// records lets the watching keep its records in the control store.
type records struct{ store *control.Store }

func (r records) Get(ctx context.Context, key string) (watch.Record, error) {
	got, err := r.store.Get(ctx, key)
	return watch.Record(got), err
}

func (r records) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	next, err := r.store.Put(ctx, key, value, revision)
	if errors.Is(err, control.ErrConflict) {
		err = watch.ErrConflict
	}
	return next, err
}

func (r records) Delete(ctx context.Context, key string) error { return r.store.Delete(ctx, key) }

func (r records) List(ctx context.Context, pattern string, from uint64) ([]watch.Record, error) {
	got, err := r.store.List(ctx, pattern, from)
	all := make([]watch.Record, len(got))
	for i := range got {
		all[i] = watch.Record(got[i])
	}
	return all, err
}

// journal lets the watching keep samples and happenings in a log of the control store.
type journal struct{ log *control.Log }

func (j journal) Append(ctx context.Context, key, id string, value []byte) error {
	return j.log.Append(ctx, key, id, value)
}

func (j journal) Read(ctx context.Context, key string, from time.Time, f func(time.Time, []byte) error) error {
	return j.log.Read(ctx, key, from, func(e control.Entry) error { return f(e.At, e.Value) })
}

func (j journal) Last(ctx context.Context, key string) (time.Time, []byte, bool, error) {
	e, ok, err := j.log.Last(ctx, key)
	return e.At, e.Value, ok, err
}

func (j journal) Forget(ctx context.Context, key string) error { return j.log.Forget(ctx, key) }
