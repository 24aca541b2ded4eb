package deploy

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"dms/mapping/control"
)

const (
	clockTopic = "clock"
	clockEvery = 10 * time.Second
	// clockOff is how far a clock may differ from two others that agree. What a handler or a
	// token says of time is judged by the clock of whoever is asked.
	clockOff = 5 * time.Second
)

// clockWords is what a node says of its clock.
type clockWords struct {
	Node string `json:"node"`
	At   int64  `json:"at"` // nanoseconds of Unix time
}

// clock knows whether that of this node is wrong, by those of the others. The zero value
// takes it to be right.
type clock struct {
	off atomic.Int64 // nanoseconds by which the others are ahead; 0 while it is right
}

// startClock compares clocks once, so that a node with a wrong one answers nothing, and
// from then on until the node stops.
func (n *Node) startClock(store *control.Store) error {
	if n.apiNodes < replicas { // there is one clock
		return nil
	}
	err := serveQuestions(n, store, clockTopic, func(context.Context, struct{}) (clockWords, error) {
		return clockWords{n.config.Node, time.Now().UnixNano()}, nil
	})
	if err != nil {
		return err
	}
	n.compareClocks(store)
	n.work.Go(func() { n.followClock(store) })
	return nil
}

// followClock compares clocks until the node stops.
func (n *Node) followClock(store *control.Store) {
	t := time.NewTicker(clockEvery)
	defer t.Stop()
	for {
		select {
		case <-n.base.Done():
			return
		case <-t.C:
			n.compareClocks(store)
		}
	}
}

// compareClocks asks the others for the time. Without enough answers it leaves the verdict as it is.
func (n *Node) compareClocks(store *control.Store) {
	asked := time.Now()
	all, err := askNodes[clockWords](n.base, store, n.apiNodes, clockTopic, struct{}{})
	if err != nil {
		n.log.Debug("clocks could not be compared", "err", err)
		return
	}
	// When an answer was given is known to half of the time that all took, a second at most.
	middle := asked.Add(time.Since(asked) / 2).UnixNano()
	var ahead []time.Duration
	for _, a := range all {
		if a.Node != n.config.Node {
			ahead = append(ahead, time.Duration(a.At-middle))
		}
	}
	off, known := judgeClock(ahead)
	if !known {
		return
	}
	switch before := n.clock.off.Swap(int64(off)); {
	case before == 0 && off != 0:
		n.log.LogAttrs(n.base, slog.LevelError, "the clock of this node is wrong, so it answers no requests", slog.Duration("others_ahead", off))
	case before != 0 && off == 0:
		n.log.LogAttrs(n.base, slog.LevelWarn, "the clock of this node is right again")
	}
}

// judgeClock says by how much the others are ahead if they agree that this clock is wrong,
// and 0 if it is right. It is not known from fewer than two, nor from two that differ.
func judgeClock(ahead []time.Duration) (off time.Duration, known bool) {
	if len(ahead) < 2 {
		return 0, false
	}
	least, most := slices.Min(ahead), slices.Max(ahead)
	switch {
	case least <= clockOff && most >= -clockOff && (least >= -clockOff || most <= clockOff):
		return 0, true // one of them agrees with it
	case most-least > clockOff:
		return 0, false
	}
	return least + (most-least)/2, true
}

// wrong says what is wrong with the clock, or "".
func (c *clock) wrong() string {
	switch off := time.Duration(c.off.Load()).Round(time.Second); {
	case off > 0:
		return fmt.Sprintf("the clock of this node is %v behind those of the others", off)
	case off < 0:
		return fmt.Sprintf("the clock of this node is %v ahead of those of the others", -off)
	}
	return ""
}
