package facade

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"time"

	"dms/facade/limit"
	"dms/mapping/dms"
	"dms/tenancy"
	"dms/tenancy/audit"

	"github.com/google/uuid"
)

// event is what the one log line of a request will say. Handlers fill it in.
type event struct {
	requestID string
	route     string
	project   tenancy.ProjectID
	code      string // published error code
	cause     error  // why, for operators
	gone      bool   // the client went away before there was an answer
	keystone  bool   // errors are in the shape of OpenStack's identity service
	received  int64

	// For the audit trail and the limits.
	action  string           // name of the operation, "" when the URL is unknown
	looks   bool             // the call looks at the messages of a queue: successes are counted by queue
	uses    bool             // the call moves messages, or issues a token: successes are counted
	bare    bool             // the call presents no credential and needs none: 401 is no wrong guess
	address netip.Addr       // of the client
	source  netip.Prefix     // what of that is counted together
	caller  tenancy.Identity // once known
	known   bool             // the caller's credential is good
	member  bool             // and the caller belongs to the project, which is there
	object  audit.Object     // what is acted on
}

// statusGone is what logs and metrics show for a client that did not wait. It is
// never sent.
const statusGone = 499

type eventKey struct{}

// eventOf returns the event of the request, or one that nobody will see.
func eventOf(ctx context.Context) *event {
	if ev, ok := ctx.Value(eventKey{}).(*event); ok {
		return ev
	}
	return &event{}
}

// wrap puts around the router what every request gets: an ID, the headers of all
// answers, an answer to a panic, and one log line at the end.
func (a *API) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		ev := &event{requestID: requestID(r.Header.Get("X-Request-Id")), address: a.o.Proxies.Client(r)}
		ev.source = limit.Source(ev.address)
		r = r.WithContext(context.WithValue(r.Context(), eventKey{}, ev))
		// Access keys are locked for addresses, which must not be that of a proxy of all.
		if ev.address.IsValid() && ev.address != limit.Peer(r.RemoteAddr) {
			r.RemoteAddr = netip.AddrPortFrom(ev.address, 0).String()
		}
		rec := &recorder{ResponseWriter: w}
		h := rec.Header()
		h.Set("X-Request-Id", ev.requestID)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		defer func() { a.finish(r, ev, rec, time.Since(started)) }()
		defer a.recover(rec, r)
		next.ServeHTTP(rec, r)
	})
}

// recover answers a panic of a handler with 500. The server's own signal to cut the
// connection is passed on.
func (a *API) recover(w *recorder, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	err := dms.Wrap(dms.Internal, fmt.Errorf("panic: %v\n%s", v, debug.Stack()))
	if w.status != 0 {
		eventOf(r.Context()).cause = err.Err // too late to answer
		return
	}
	a.writeError(w, r, err)
}

// finish tells the log and the observer about an answered request.
func (a *API) finish(r *http.Request, ev *event, rec *recorder, took time.Duration) {
	status := rec.status
	a.settle(ev, status, rec.sent)
	a.tally(ev, status)
	if ev.gone {
		status = statusGone
	}
	level := slog.LevelInfo
	switch {
	case status == http.StatusServiceUnavailable:
		level = slog.LevelWarn
	case status >= http.StatusInternalServerError:
		level = slog.LevelError
	}
	if a.o.Log.Enabled(r.Context(), level) {
		attrs := []slog.Attr{
			slog.String("request_id", ev.requestID),
			slog.String("method", knownMethod(r.Method)),
			slog.String("route", ev.route),
			slog.Int("status", status),
			slog.String("project", string(ev.project)),
			slog.Duration("duration", took),
			slog.Int64("bytes_in", ev.received),
			slog.Int64("bytes_out", rec.sent),
		}
		if ev.code != "" {
			attrs = append(attrs, slog.String("code", ev.code))
		}
		if ev.cause != nil {
			attrs = append(attrs, slog.String("cause", ev.cause.Error()))
		}
		a.o.Log.LogAttrs(r.Context(), level, "request", attrs...)
	}
	if a.o.Observe != nil {
		a.o.Observe(r.Context(), Observation{
			Method: knownMethod(r.Method), Route: ev.route, Status: status, Code: ev.code, Project: ev.project,
			Duration: took, Received: ev.received, Sent: rec.sent,
		})
	}
}

// knownMethod keeps strangers from choosing what logs and metrics are keyed by.
func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodOptions, http.MethodConnect, http.MethodTrace:
		return m
	}
	return "_OTHER"
}

// requestID takes the caller's ID if it is safe to repeat, and makes one otherwise.
func requestID(given string) string {
	if len(given) < 8 || len(given) > 64 {
		return uuid.NewString()
	}
	for i := range len(given) {
		switch c := given[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return uuid.NewString()
		}
	}
	return given
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	sent   int64
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.sent += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the server's own writer.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
