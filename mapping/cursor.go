package mapping

import (
	"slices"
	"time"
)

// cursor is how far a group has come in a store it must read in order: a FIFO queue,
// or its dead letters. It is one record, changed by compare-and-set; whoever changes
// it first decides, on whichever node.
//
// While a lease is live nobody else gets a message. The lease names the deliveries
// that are outstanding, in order; acknowledging takes them from the front.
type cursor struct {
	Floor    uint64 `json:"floor"`              // everything up to here is settled
	Head     uint64 `json:"head,omitempty"`     // the message Failures speaks of
	Failures int    `json:"failures,omitempty"` // how often Head was failed or timed out
	Reason   string `json:"reason,omitempty"`   // of the last failure of Head
	First    int64  `json:"first,omitempty"`    // when Head was first handed out, epoch milliseconds; 0: not known
	Gen      uint32 `json:"gen,omitempty"`      // how often the position was moved
	Lease    *lease `json:"lease,omitempty"`
	// Ended are the latest leases that ended before all of their deliveries were
	// settled. Their handles may be good for a while and must not be taken for those
	// of settled deliveries once the messages are settled by others.
	Ended []endedLease `json:"ended,omitempty"`
}

type lease struct {
	Batch   string        `json:"batch"` // random; the handles carry it
	Node    string        `json:"node"`  // the run of the node that granted it
	AckWait time.Duration `json:"ack_wait"`
	Seqs    []uint64      `json:"seqs"` // outstanding, ascending
	// Pause is set while nobody has the messages: the first one failed, and is to be
	// offered again only after AckWait.
	Pause bool `json:"pause,omitempty"`
}

// endedLease is a lease that was not settled from the given place on.
type endedLease struct {
	Batch string `json:"batch"`
	From  byte   `json:"from"`
	Size  byte   `json:"size"`
	Until int64  `json:"until"` // when its handles have expired, epoch milliseconds
}

// mostEnded bounds how many ended leases a cursor keeps; older ones are written down
// beside it.
const mostEnded = 16

func (c cursor) clone() cursor {
	if c.Lease != nil {
		l := *c.Lease
		l.Seqs = slices.Clone(l.Seqs)
		c.Lease = &l
	}
	c.Ended = slices.Clone(c.Ended)
	return c
}

// note keeps an ended lease and returns the ones there is no room for any more.
func (c *cursor) note(e endedLease, now time.Time) (out []endedLease) {
	c.Ended = slices.DeleteFunc(c.Ended, func(o endedLease) bool { return now.UnixMilli() > o.Until+time.Minute.Milliseconds() })
	c.Ended = append(c.Ended, e)
	if n := len(c.Ended) - mostEnded; n > 0 {
		out = slices.Clone(c.Ended[:n])
		c.Ended = c.Ended[n:]
	}
	return out
}

// endedBefore reports whether the lease of the batch is known to have ended before
// the delivery at the place was settled, and whether the lease is known at all.
func (c cursor) endedBefore(batch string, place byte) (ended, known bool) {
	for _, e := range c.Ended {
		if e.Batch == batch {
			return place >= e.From, true
		}
	}
	return false, false
}

// failuresOf is how often the message has failed so far.
func (c cursor) failuresOf(seq uint64) int {
	if c.Head != seq {
		return 0
	}
	return c.Failures
}

// grant starts a lease. What lies between the floor and its first message has been
// found to be expired or not meant for the group.
func (c *cursor) grant(l lease, now time.Time) {
	c.Lease = &l
	if c.Head != l.Seqs[0] {
		c.newHead(l.Seqs[0])
		c.First = now.UnixMilli()
	}
	c.Floor = l.Seqs[0] - 1
}

// settle takes the first n outstanding deliveries of the lease as done.
func (c *cursor) settle(n int) {
	if n == 0 {
		return
	}
	c.Floor = c.Lease.Seqs[n-1]
	c.newHead(0)
	if n == len(c.Lease.Seqs) {
		c.Lease = nil
		return
	}
	c.Lease.Seqs = c.Lease.Seqs[n:]
}

// newHead makes a message that has never failed the head; 0 means none.
func (c *cursor) newHead(seq uint64) { c.Head, c.Failures, c.Reason, c.First = seq, 0, "", 0 }

// fail ends the lease and charges a failure to its first outstanding message. It is
// what an explicit failure and a timeout have in common.
func (c *cursor) fail(reason string) {
	if head := c.Lease.Seqs[0]; c.Head != head {
		c.newHead(head)
	}
	c.Failures++
	c.Reason = reason
	c.Lease = nil
}

// pause keeps the message that failed, and all behind it, from being handed out for a
// while. It is a lease that nobody holds, and charges nobody when it ends.
func (c *cursor) pause(batch, node string, d time.Duration) {
	c.Lease = &lease{Batch: batch, Node: node, AckWait: d, Seqs: []uint64{c.Head}, Pause: true}
}

// release ends the lease and charges nobody.
func (c *cursor) release() { c.Lease = nil }

// bury settles the message whose failures are used up, once it is a dead letter.
func (c *cursor) bury() {
	c.Floor = c.Head
	c.newHead(0)
}
