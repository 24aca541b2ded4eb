package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"dms/e2e/history"
	"dms/e2e/workload"
)

const (
	// settle is how long after a fault the service may still show traces of it: leases
	// and leaders that were lost come back late.
	settle = 10 * time.Second

	usualRate   = 300 // messages offered a second
	manyClients = 4   // beyond that
	makeUp      = 10 * time.Second
	orderedRate = 120 // a FIFO queue is offered about a quarter of it at most

	patience  = time.Minute
	callLimit = 16 * time.Second // longer than the service holds a call
)

// strike is one fault as it went.
type strike struct {
	Fault       fault
	From, Whole time.Duration // on the history's clock: from the first harm until all nodes served
	Seen        []string
	Complaints  []string
	Worst       time.Duration // longest wait of an operation that was under way meanwhile
	Longest     workload.Operation
	Errors      int // sends without an answer in the end
	Sends, Acks int // that succeeded meanwhile
}

// round is one history: its faults come one after the other under load.
type round struct {
	seed    uint64
	rate    int
	deck    []fault
	section time.Duration // least time of a fault, load before and after it included
	until   time.Time     // no fault begins later; zero is no limit
	file    string        // of the history
	victim  int           // node whose files may be damaged
	number  int
}

// played is what came of a round.
type played struct {
	*workload.Outcome
	Strikes    []strike
	Operations []workload.Operation
	Complaints []string // of the faults
}

// plan is what the clients do. They are good clients: nearly all sends have a key. They
// think less when more comes, and offer FIFO queues what one batch after the other can
// carry, so that a round has not more to read after its load than while it.
func (r round) plan() workload.Plan {
	p := workload.Usual(r.seed, r.rate)
	p.Keyed, p.Patience, p.CallLimit, p.Drain = .9, patience, callLimit, 3*time.Minute
	if r.rate > usualRate {
		p.Think = p.Think * usualRate / time.Duration(r.rate)
		p.Ordered = orderedRate / float64(r.rate)
		p.Clients, p.MakeUp, p.Drain = manyClients, makeUp, 10*time.Minute // there is more to read
	}
	return p
}

// world makes the clients of a round and their queues.
func (c *cluster) world(ctx context.Context, p workload.Plan, number int, file string) (*workload.World, error) {
	w, err := workload.New(p, file)
	if err != nil {
		return nil, err
	}
	for i, n := range c.nodes {
		w.Place(i, n.url())
	}
	for i, k := range c.keys {
		token, err := c.token(ctx, i)
		if err != nil {
			return nil, errors.Join(err, w.Close())
		}
		w.Admit(k.project, token, fmt.Sprintf("tenant%d-round%d", i+1, number))
	}
	if err := w.SetUp(ctx); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// play plays a round to its end: load and faults, then readers from the beginning of all
// queues, and the judgement. If that cannot be, it returns the faults that struck, if any.
func (c *cluster) play(ctx context.Context, r round, log func(string, ...any)) (p *played, err error) {
	w, err := c.world(ctx, r.plan(), r.number, r.file)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	f := &field{cluster: c, world: w, victim: c.nodes[r.victim], damaged: make(map[string]bool), rng: w.Random("faults")}
	p = &played{}
	if err := f.underLoad(ctx, r, p, log); err != nil {
		weigh(p.Strikes, w.Operations())
		return p, err // what has struck counts
	}
	readers, err := w.Audit(ctx)
	if err != nil {
		return nil, err
	}
	from := w.Now()
	if err := f.exposeDamage(ctx, readers); err != nil {
		return nil, err
	}
	for _, s := range f.seen {
		log("%s", s)
	}
	windows := []history.Window{{Name: "readers of damaged queues", Start: from, End: w.Now() + settle}}
	for _, s := range p.Strikes {
		windows = append(windows, history.Window{Name: s.Fault.name, Start: s.From, End: s.Whole + settle})
	}
	if p.Outcome, err = w.Finish(ctx, windows); err != nil {
		return nil, err
	}
	p.Operations = w.Operations()
	weigh(p.Strikes, p.Operations)
	for i := range p.Strikes {
		s := &p.Strikes[i]
		log("%7.1fs %s: longest of all was a %s to %s from %.1fs to %.1fs in %d attempts, the last one answered %d",
			s.From.Seconds(), s.Fault.name, s.Longest.Op, s.Longest.Queue, s.Longest.Start.Seconds(), s.Longest.End.Seconds(), s.Longest.Tries, s.Longest.Status)
		log("%7.1fs %s: %d sends and %d acknowledgements succeeded meanwhile", s.From.Seconds(), s.Fault.name, s.Sends, s.Acks)
		if s.Fault.acks && s.Acks == 0 {
			s.Complaints = append(s.Complaints, "nobody could acknowledge meanwhile")
		}
		p.Complaints = append(p.Complaints, s.Complaints...)
	}
	p.Complaints = append(p.Complaints, f.complaints...)
	p.Complaints = append(p.Complaints, c.leaders.alarms()...)
	return p, w.Remove(ctx)
}

// underLoad plays the faults while all clients work.
func (f *field) underLoad(ctx context.Context, r round, p *played, log func(string, ...any)) error {
	load, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { // ends with load, and is waited for
		defer close(done)
		f.world.Load(load)
	}()
	defer func() { stop(); <-done }()
	for _, next := range r.deck {
		if !r.until.IsZero() && time.Now().After(r.until) {
			break
		}
		begin := time.Now()
		workload.Pause(ctx, r.section/4)
		f.seen, f.complaints = nil, nil
		s := strike{Fault: next, From: f.world.Now()}
		err := next.strike(ctx, f)
		s.Whole, s.Seen, s.Complaints = f.world.Now(), f.seen, f.complaints
		p.Strikes = append(p.Strikes, s)
		log("%7.1fs %s %s: %q%q", s.From.Seconds(), next.name, next.title, s.Seen, s.Complaints)
		if err != nil {
			return fmt.Errorf("%s %s: the service did not come back: %w", next.name, next.title, err)
		}
		workload.Pause(ctx, max(r.section/4, r.section-time.Since(begin)))
	}
	f.seen, f.complaints = nil, nil
	return nil
}

// failed reports whether an operation was an error for its client. An acknowledgement
// whose lease ran out meanwhile is none: its message comes again.
func failed(o workload.Operation) bool { return !o.Known && o.Op == history.Send }

// weigh finds what clients felt of each strike.
func weigh(strikes []strike, operations []workload.Operation) {
	for i := range strikes {
		s := &strikes[i]
		for _, o := range operations {
			if o.End < s.From || o.Start > s.Whole {
				continue
			}
			if o.Took() > s.Worst {
				s.Worst, s.Longest = o.Took(), o
			}
			switch {
			case failed(o):
				s.Errors++
			case o.End > s.Whole || o.Status/100 != 2:
			case o.Op == history.Send:
				s.Sends++
			default:
				s.Acks++
			}
		}
	}
}

// shuffled is a deck of all faults, each as often as it weighs, in an order that the
// generator decides.
func shuffled(all []fault, rng *rand.Rand) []fault {
	var deck []fault
	for _, f := range all {
		for range max(f.weight, 1) {
			deck = append(deck, f)
		}
	}
	rng.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
	return deck
}
