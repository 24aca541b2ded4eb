package facade

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"dms/mapping/dms"
	"dms/tenancy"

	"github.com/go-chi/chi/v5"
)

// call is one authorised request on its way through a handler.
type call struct {
	route   route
	w       http.ResponseWriter
	r       *http.Request
	project tenancy.Project
	queue   dms.QueueRef // zero unless the URL names a queue
	group   dms.GroupRef // zero unless the URL names a group
	query   url.Values
	body    []byte
	read    bool // the body has been read
	signed  bool // with an access key
	cookie  bool // with a session of the console
	limited bool // the caller has permissions on single queues only
}

const (
	// authTimeout ends the search for who is calling.
	authTimeout = 10 * time.Second
	// opTimeout ends every operation but a long poll. The storage below hides a change
	// of leader for up to 12 s, which must fit.
	opTimeout = 30 * time.Second
	// retryWhenFull is what senders are asked to wait for, in seconds, while there is no
	// room: that takes an operator, or messages that expire.
	retryWhenFull = "5"
	// answerTime is what a client may take to receive an answer.
	answerTime = 10 * time.Second
)

// serve turns a route into a handler. The checks come in a fixed order: project ID,
// caller, membership, permission, queue ID, group ID, query, body.
func (a *API) serve(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ev := eventOf(r.Context())
		ev.route, ev.action, ev.keystone = rt.pattern, rt.action, rt.keystone
		ev.looks = rt.needs == tenancy.Inspect
		ev.uses = rt.class == sends || rt.class == polls || rt.class == acks
		if err := a.run(rt, w, r); err != nil {
			a.writeError(w, r, err)
		}
	})
}

func (a *API) run(rt route, w http.ResponseWriter, r *http.Request) error {
	c := &call{route: rt, w: w, r: r}
	if enc := r.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return &dms.Error{Code: dms.BadEncoding}
	}
	if !rt.public || rt.login {
		if err := a.mayTry(c); err != nil {
			return err
		}
	}
	switch {
	case rt.needs != 0:
		if err := a.authorise(c); err != nil {
			return err
		}
	case rt.caller:
		if err := a.identify(c); err != nil {
			return err
		}
	}
	if err := c.target(); err != nil {
		return err
	}
	if err := c.checkQueue(); err != nil {
		return err
	}
	if rt.stores {
		if err := a.o.Room(); err != nil {
			w.Header().Set("Retry-After", retryWhenFull)
			return &dms.Error{Code: dms.Unavailable, Message: "the disks of the service are nearly full: nothing is stored until there is room", Err: err}
		}
	}
	pool := a.pools[rt.class]
	if err := pool.enter(c.project.ID); err != nil {
		return err
	}
	defer pool.leave(c.project.ID)
	source := eventOf(r.Context()).source
	switch rt.class {
	case polls:
		if !a.gates.polls.Enter(source) {
			return dms.Errorf(dms.TooManyRequests, "too many requests that wait for messages came from this address: wait and repeat the request")
		}
		defer a.gates.polls.Leave(source)
	case streams:
		if !a.gates.streams.Enter(source) {
			return dms.Errorf(dms.TooManyRequests, "too many streams of events go to this address: close one and repeat the request")
		}
		defer a.gates.streams.Leave(source)
	}
	if err := c.readBody(); err != nil {
		return err
	}
	if rt.class == polls || rt.class == streams {
		return rt.handler(a, c) // it knows for how long
	}
	cancel, err := c.hold(opTimeout)
	if err != nil {
		return err
	}
	defer cancel()
	if rt.changes() {
		return a.recorded(c)
	}
	return rt.handler(a, c)
}

// ctx ends with the request or with its time.
func (c *call) ctx() context.Context { return c.r.Context() }

// hold gives the request d to work, and its client some time more to take the answer.
// The caller calls cancel. Nothing is done about the server's read timeout, which does
// not bear on a client that waits once its request has been read.
func (c *call) hold(d time.Duration) (cancel context.CancelFunc, err error) {
	until := time.Now().Add(d + answerTime)
	if err := http.NewResponseController(c.w).SetWriteDeadline(until); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, dms.Wrap(dms.Internal, err)
	}
	ctx, cancel := context.WithTimeout(c.ctx(), d)
	c.r = c.r.WithContext(ctx)
	return cancel, nil
}

// target reads the queue, the group and the query of the URL.
func (c *call) target() error {
	params := chi.RouteContext(c.r.Context()).URLParams.Keys
	for _, key := range params {
		value, err := param(c.r, key)
		switch {
		case err != nil:
			return dms.Errorf(dms.BadParameters, "the URL has a malformed escape")
		case key == "queue":
			id, err := dms.ParseQueueID(value)
			if err != nil {
				return err
			}
			c.queue = dms.QueueRef{Project: c.project.ID, Queue: id}
			eventOf(c.ctx()).object.Queue = string(id)
		case key == "group":
			id, err := dms.ParseGroupID(value)
			if err != nil {
				return err
			}
			c.group = dms.GroupRef{QueueRef: c.queue, Group: id}
			eventOf(c.ctx()).object.Groups = []string{string(id)}
		}
	}
	query, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return dms.Errorf(dms.BadParameters, "the query of the URL is malformed")
	}
	c.query = query
	return nil
}

// readBody reads the whole body once. Signatures need it before anything else does.
func (c *call) readBody() error {
	if c.read {
		return nil
	}
	c.read = true
	limit := c.route.body
	if c.r.ContentLength > limit {
		c.w.Header().Set("Connection", "close") // what is on its way is not worth reading
		return c.tooLarge(c.r.ContentLength)
	}
	src := http.MaxBytesReader(c.w, c.r.Body, limit)
	var body []byte
	var err error
	if n := c.r.ContentLength; n > 0 {
		body = make([]byte, n)
		_, err = io.ReadFull(src, body)
	} else {
		body, err = io.ReadAll(src)
	}
	eventOf(c.r.Context()).received = int64(len(body))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return c.tooLarge(0)
	}
	if err != nil {
		return &dms.Error{Code: dms.BadRequest, Message: "the request body could not be read to its end", Err: err}
	}
	c.body = body
	return nil
}

// tooLarge refuses a body by its size, which is 0 when the client did not tell it.
func (c *call) tooLarge(size int64) error {
	if c.route.class == sends {
		return messageTooBig(size)
	}
	code := dms.BadManageBody
	if c.route.message {
		code = dms.BadRequest
	}
	return dms.Errorf(code, "the request body must have at most %d bytes", c.route.body)
}
