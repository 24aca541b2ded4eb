package history

import "fmt"

// Class is the reason why a message was delivered to a group once more.
type Class string

const (
	NegativeAck Class = "negative ack" // it was acknowledged as failed
	UnknownAck  Class = "unknown ack"  // an acknowledgement got no answer
	AckTimeout  Class = "ack timeout"  // its lease may have ended
	FaultWindow Class = "fault window" // its lease was live, but something was broken
	Resent      Class = "resent"       // its producer may have stored it more than once
	// Unexplained is everything else: it must not happen.
	Unexplained Class = "unexplained"
)

// reasonless says more about an unexplained duplicate, and so which check reports it.
type reasonless uint8

const (
	afterSettled reasonless = iota + 1 // surely settled before
	liveLease                          // surely leased to somebody
	raced                              // leased or settled, and neither allows it
)

type duplicate struct {
	group *groupRun
	dead  bool
	msg   *message
	track *track
	prev  *delivery
	this  *delivery
	class Class
	how   reasonless // of unexplained ones
}

// duplicates visits every delivery of a message to a group but the first.
func (r *Run) duplicates(visit func(duplicate)) {
	for _, dead := range []bool{false, true} {
		r.each(dead, func(g *groupRun, m *message, t *track) {
			for i := 1; i < len(t.given); i++ {
				d := duplicate{group: g, dead: dead, msg: m, track: t, prev: &t.given[i-1], this: &t.given[i]}
				d.class, d.how = r.classify(&d)
				visit(d)
			}
		})
	}
}

func (r *Run) classify(d *duplicate) (Class, reasonless) {
	if d.msg.copies > 1 {
		return Resent, 0
	}
	if d.track.settledBefore(d.this.start) {
		return Unexplained, afterSettled
	}
	if from, surely := d.group.released(d.track, d.prev); from < d.this.end {
		if surely {
			return NegativeAck, 0
		}
		return UnknownAck, 0
	}
	racing := false
	for i := range d.track.acks {
		a := &d.track.acks[i]
		if a.effect == maybe && a.start < d.this.end {
			return UnknownAck, 0
		}
		racing = racing || a.effect == settled && a.start < d.this.end
	}
	if b := d.group.batches[d.prev.call]; b.cursor && b.unsure < d.this.end {
		return UnknownAck, 0
	}
	switch {
	case d.this.end >= d.prev.until:
		return AckTimeout, 0
	case r.expect.broken(d.prev.start, d.this.end):
		return FaultWindow, 0
	case racing:
		return Unexplained, raced
	}
	return Unexplained, liveLease
}

// Duplicates is K4: a duplicate without an allowed reason that is neither a delivery
// after a final acknowledgement (K5) nor into a live lease (K6).
func Duplicates(r *Run) []Violation {
	return r.unexplained("K4", "unexplained duplicate", func(d *duplicate) bool {
		return d.how == raced && !d.msg.keyed
	})
}

// Final is K5: a delivery that started after a successful acknowledgement had ended.
func Final(r *Run) []Violation {
	return r.unexplained("K5", "delivered after it was settled", func(d *duplicate) bool {
		return d.how == afterSettled && !d.dead && !d.msg.keyed
	})
}

// Leases is K6: two live leases of one message in one group.
func Leases(r *Run) []Violation {
	return r.unexplained("K6", "two live leases", func(d *duplicate) bool {
		return d.how == liveLease && !d.dead && !d.msg.keyed
	})
}

func (r *Run) unexplained(check, rule string, mine func(*duplicate) bool) []Violation {
	var out []Violation
	r.duplicates(func(d duplicate) {
		if d.class == Unexplained && mine(&d) {
			out = append(out, r.again(check, rule, &d))
		}
	})
	return out
}

// again reports a duplicate with both deliveries and what was acknowledged.
func (r *Run) again(check, rule string, d *duplicate) Violation {
	v := r.about(d.group.violation(check, rule), d.msg)
	v.Detail = fmt.Sprintf("the earlier lease lasts to %v at least", d.prev.until)
	v = r.with(v, d.prev.place)
	for i := range d.track.acks {
		v = r.with(v, d.track.acks[i].place)
	}
	return r.with(v, d.this.place)
}

// Idempotence is K15: a message sent more than once under one idempotency key within
// the window was given more than one id, or shows more than one stored copy.
func Idempotence(r *Run) []Violation {
	out := r.unexplained("K15", "stored twice", func(d *duplicate) bool { return d.msg.keyed })
	for i := range r.msgs {
		m := &r.msgs[i]
		if !m.keyed {
			continue
		}
		ids := make(map[string]bool)
		for _, s := range m.sends {
			if it := &r.calls[s.call].Items[s.item]; it.Result == OK && it.ID != "" {
				ids[it.ID] = true
			}
		}
		if len(ids) > 1 {
			v := r.about(Violation{Check: "K15", Rule: "two ids", Tenant: m.queue.Tenant, Queue: m.queue.ID}, m)
			v.Detail = fmt.Sprintf("answered with %d different message ids", len(ids))
			out = append(out, v)
		}
	}
	return out
}
