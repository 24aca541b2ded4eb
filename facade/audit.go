package facade

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"dms/mapping/dms"
	"dms/tenancy"
	"dms/tenancy/audit"
)

// recordTime is what writing a record may take after the change has been made. It hides
// the loss of a leader of the storage below.
const recordTime = 13 * time.Second

// recorded carries out a call that changes something. The answer is held back until the
// record of it is on disk; without that there is no success. What was refused has changed
// nothing and is counted like other refusals.
func (a *API) recorded(c *call) error {
	trail := c.trail()
	if err := a.o.Audit.Ready(c.ctx(), trail); err != nil {
		return dms.Wrap(dms.Unavailable, fmt.Errorf("nothing may be changed now, for it could not be recorded: %w", err))
	}
	held := &heldAnswer{header: make(http.Header)}
	w := c.w
	c.w = held
	ended := false
	defer func() {
		if !ended { // the handler panics: what it has done by then is not known
			_ = a.record(c, trail, http.StatusInternalServerError, "")
		}
	}()
	err := c.route.handler(a, c)
	ended, c.w = true, w
	status, code := held.status, ""
	if err != nil {
		row, _ := a.errors.lookup(err)
		if status, code = row.status, row.text(); status < http.StatusInternalServerError {
			return err
		}
	}
	if failed := a.record(c, trail, status, code); err == nil && failed != nil {
		return dms.Wrap(dms.Unavailable, fmt.Errorf("the change was made and is not recorded yet: %w", failed))
	}
	if err != nil {
		return err
	}
	held.sendTo(w)
	return nil
}

// record writes what came of a change. It outlives the request: whoever has changed
// something cannot prevent its record by going away.
func (a *API) record(c *call, trail tenancy.ProjectID, status int, code string) error {
	ev := eventOf(c.ctx())
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx()), recordTime)
	defer cancel()
	return a.o.Audit.Write(ctx, trail, audit.Record{
		Time: a.o.Now().UTC(), Kind: audit.Change,
		Actor: audit.ActorOf(ev.caller), Source: addressText(ev), Action: c.route.action,
		Object: ev.object, Status: status, Code: code, RequestID: ev.requestID,
	})
}

// trail is where the call is recorded.
func (c *call) trail() tenancy.ProjectID {
	if c.route.needs == tenancy.Operate || c.project.ID == "" {
		return audit.Service
	}
	return c.project.ID
}

// touch notes what the call acts on beyond what its URL names.
func (c *call) touch(queue dms.QueueID, groups ...dms.GroupID) {
	o := &eventOf(c.ctx()).object
	o.Queue = string(queue)
	for _, g := range groups {
		o.Groups = append(o.Groups, string(g))
	}
}

// tally counts an answered call that has no record of its own.
func (a *API) tally(ev *event, status int) {
	c := audit.Count{Action: ev.action, Actor: audit.ActorOf(ev.caller)}
	switch {
	case ev.action == "":
		return // there is no such URL
	case status < 300 && ev.looks:
		c.Queue = ev.object.Queue
		a.o.Audit.Note(ev.project, audit.Use, c)
	case status < 300 && ev.uses && ev.member:
		a.o.Audit.Note(ev.project, audit.Use, c)
	case status < 300 && ev.uses: // a token for no project
		a.o.Audit.Note(audit.Service, audit.Use, c)
	case status == http.StatusUnauthorized || status == http.StatusTooManyRequests,
		status >= 400 && status < 500 && status != statusGone && ev.known:
		c.Source, c.Code = sourceText(ev), ev.code
		if ev.member {
			a.o.Audit.Note(ev.project, audit.Refusal, c)
			return
		}
		c.Target = ev.project
		a.o.Audit.Note(audit.Service, audit.Refusal, c)
	}
}

func addressText(ev *event) string {
	if !ev.address.IsValid() {
		return ""
	}
	return ev.address.String()
}

// sourceText is what refusals are folded by.
func sourceText(ev *event) string {
	switch s := ev.source; {
	case !s.IsValid():
		return ""
	case s.IsSingleIP():
		return s.Addr().String()
	default:
		return s.String()
	}
}

// heldAnswer keeps an answer until it may be given.
type heldAnswer struct {
	header http.Header
	status int
	body   []byte
}

// Header implements http.ResponseWriter.
func (h *heldAnswer) Header() http.Header { return h.header }

// WriteHeader implements http.ResponseWriter.
func (h *heldAnswer) WriteHeader(status int) {
	if h.status == 0 {
		h.status = status
	}
}

// Write implements http.ResponseWriter.
func (h *heldAnswer) Write(p []byte) (int, error) {
	h.WriteHeader(http.StatusOK)
	h.body = append(h.body, p...)
	return len(p), nil
}

func (h *heldAnswer) sendTo(w http.ResponseWriter) {
	for name, values := range h.header {
		w.Header()[name] = values
	}
	w.WriteHeader(max(h.status, http.StatusOK))
	_, _ = w.Write(h.body) // a client that does not take it is no error of ours
}
