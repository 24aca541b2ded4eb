package facade

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"dms/facade/live"
	"dms/mapping/dms"
	"dms/tenancy"
)

const (
	// heartbeatEvery keeps proxies from taking a quiet stream for a dead one. At each the
	// caller is looked at again, so that a stream does not outlive what opened it.
	heartbeatEvery = 15 * time.Second
	// longestStream ends a stream that could go on, so that clients spread over nodes
	// again. Signed requests cannot be looked at again and get less.
	longestStream = time.Hour
	longestSigned = 15 * time.Minute
	// takeWithin is how long a client may take to receive one piece.
	takeWithin = 10 * time.Second
	// comeBack is when a client that lost its stream asks again, in milliseconds.
	comeBack = "2000"
)

// streamEvents tells what changes in the project while it does, as server-sent events
// (HTML, section 9.2).
func (a *API) streamEvents(c *call) error {
	if a.o.Figures == nil {
		return &dms.Error{Code: dms.NoSuchRoute}
	}
	life, err := c.streamLife()
	if err != nil {
		return err
	}
	mark := c.r.Header.Get("Last-Event-ID")
	if len(mark) > 64 {
		mark = ""
	}
	onlooker := a.live.Join(string(c.project.ID), mark)
	defer onlooker.Leave()
	s := &stream{to: c.w, control: http.NewResponseController(c.w)}
	h := c.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // asks proxies not to collect it
	s.text("retry: " + comeBack + "\n\n")
	if !s.flush() {
		return nil
	}
	end := time.NewTimer(life)
	defer end.Stop()
	beat := time.NewTicker(a.o.Heartbeat)
	defer beat.Stop()
	for {
		mark, updates, more := onlooker.News()
		if s.updates(mark, c.visible(updates)); !s.flush() {
			return nil
		}
		select {
		case <-more:
		case <-beat.C:
			if why, bye := a.over(c); bye {
				s.bye(why)
				return nil
			}
			s.text(": heartbeat\n\n")
		case <-end.C:
			s.bye(goodbye{"time", "the stream has lasted long enough: connect again"})
			return nil
		case <-a.drained.Done():
			s.bye(goodbye{"draining", "the node is stopping: connect again"})
			return nil
		case <-c.ctx().Done():
			return nil
		}
	}
}

// streamLife reads for how long the stream shall last at most.
func (c *call) streamLife() (time.Duration, error) {
	most := longestStream
	if c.signed {
		most = longestSigned
	}
	v, err := c.one("seconds")
	if err != nil || v == "" {
		return most, err
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > int(longestStream/time.Second) {
		return 0, dms.Errorf(dms.BadParameters, "seconds must be 1 to %d", int(longestStream/time.Second))
	}
	return min(time.Duration(n)*time.Second, most), nil
}

// visible leaves out what a caller with permissions on single queues may not see.
func (c *call) visible(updates []live.Update) []live.Update {
	if !c.limited {
		return updates
	}
	caller := c.caller()
	keep := func(items []live.Item) (kept []live.Item) {
		for _, i := range items {
			if caller.CanOn(tenancy.Observe, c.project.ID, i.Owner) {
				kept = append(kept, i)
			}
		}
		return kept
	}
	var out []live.Update
	for _, u := range updates {
		if u.Topic != topicQueues && u.Topic != topicGroups && u.Topic != topicStatus {
			continue // what is about all queues
		}
		if u.Topic != topicStatus {
			u.Changed, u.Removed = keep(u.Changed), keep(u.Removed)
		}
		if u.Full || len(u.Changed)+len(u.Removed) > 0 {
			out = append(out, u)
		}
	}
	return out
}

// over reports why the stream must end: its caller is no longer who may see it. While
// that cannot be known it goes on.
func (a *API) over(c *call) (why goodbye, bye bool) {
	if c.signed {
		return why, false
	}
	ctx, cancel := context.WithTimeout(c.ctx(), authTimeout)
	defer cancel()
	caller, err := a.authenticate(ctx, c)
	if err == nil && a.o.Tenants != nil {
		// Not admitted: that would make a project anew that was just deleted.
		if _, missing := a.o.Tenants.Project(c.project.ID); errors.Is(missing, tenancy.ErrNoProject) {
			err = dms.Wrap(dms.ProjectMismatch, missing)
		}
	}
	// One who may see more, or less, than before begins anew.
	if may := caller.Can(tenancy.Observe, c.project.ID); err == nil && (may == c.limited || !may && !caller.Limited(c.project.ID)) {
		err = &dms.Error{Code: dms.AccessDenied}
	}
	if err == nil {
		c.r = c.r.WithContext(tenancy.NewContext(c.ctx(), caller))
		return why, false
	}
	row, sentence := a.errors.lookup(err)
	switch row.status {
	case http.StatusUnauthorized:
		return goodbye{"signed_out", sentence}, true
	case http.StatusForbidden:
		return goodbye{"refused", sentence}, true
	}
	return why, false
}

// goodbye is the last event of a stream that the service ends.
type goodbye struct {
	Reason string `json:"reason"` // time, draining, signed_out or refused
	Detail string `json:"detail"`
}

// stream writes events. An error of the connection is the end of it and no error of ours.
type stream struct {
	to      http.ResponseWriter
	control *http.ResponseController
	buf     bytes.Buffer
}

func (s *stream) text(t string) { s.buf.WriteString(t) }

// updates writes what has changed. Only the last event carries the mark: a client that
// got some of them only comes back with the mark from before.
func (s *stream) updates(mark string, updates []live.Update) {
	for i, u := range updates {
		id := ""
		if i == len(updates)-1 {
			id = mark
		}
		s.event(u.Topic, id, encodeUpdate(u))
	}
}

func (s *stream) bye(g goodbye) {
	s.event("bye", "", mustJSON(g))
	s.flush()
}

// event writes one event, whose data is JSON and so has no line breaks.
func (s *stream) event(name, id string, data []byte) {
	s.text("event: " + name + "\n")
	if id != "" {
		s.text("id: " + id + "\n")
	}
	s.text("data: ")
	s.buf.Write(data)
	s.text("\n\n")
}

// flush sends what was written, and reports whether the client takes it.
func (s *stream) flush() bool {
	if s.buf.Len() == 0 {
		return true
	}
	if err := s.control.SetWriteDeadline(time.Now().Add(takeWithin)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return false
	}
	_, err := s.to.Write(s.buf.Bytes())
	s.buf.Reset()
	return err == nil && s.control.Flush() == nil
}
