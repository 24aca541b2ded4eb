package facade

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"dms/mapping/dms"
	"dms/tenancy"

	"github.com/go-chi/chi/v5"
)

// authorise finds out who is calling and whether they may do what the route does, and
// admits the project. What exactly was wrong with a credential is for the log only.
func (a *API) authorise(c *call) error {
	if c.route.needs == tenancy.Operate {
		return a.authoriseOperator(c)
	}
	id, err := tenancy.ParseProjectID(chi.URLParam(c.r, "project"))
	if err != nil {
		return dms.Wrap(dms.BadProjectID, err)
	}
	eventOf(c.r.Context()).project = id
	ctx, cancel := context.WithTimeout(c.ctx(), authTimeout)
	defer cancel()
	caller, err := a.authenticate(ctx, c)
	if err != nil {
		return err
	}
	c.know(caller)
	if !caller.Member(id) {
		return dms.Wrap(dms.ProjectMismatch, errors.New("the caller is not a member of the project"))
	}
	if claimed := c.r.Header.Get("X-Project-Id"); claimed != "" && claimed != string(id) {
		return dms.Wrap(dms.ProjectMismatch, errors.New("X-Project-Id names another project than the URL"))
	}
	ev := eventOf(c.ctx())
	ev.member = true
	if err := a.mayGoOn(c, id); err != nil {
		return err
	}
	if !caller.Can(c.route.needs, id) {
		// Whether the queue is one of theirs is seen once it is read from the URL.
		if c.limited = caller.Limited(id); !c.limited {
			return &dms.Error{Code: dms.AccessDenied}
		}
	}
	c.project, err = a.admit(ctx, id, caller.Grants[id].Name)
	if err != nil {
		ev.member = false // it has no trail that could be written to
		return err
	}
	if err := checkBound(c.project, caller, c.signed); err != nil {
		return err
	}
	c.r = c.r.WithContext(tenancy.NewContext(c.ctx(), caller))
	return nil
}

// authoriseOperator is authorise for routes that act on the whole service. The rate is
// that of all operators together.
func (a *API) authoriseOperator(c *call) error {
	if a.o.Tenants == nil {
		return &dms.Error{Code: dms.NoSuchRoute}
	}
	ctx, cancel := context.WithTimeout(c.ctx(), authTimeout)
	defer cancel()
	caller, err := a.authenticate(ctx, c)
	if err != nil {
		return err
	}
	c.know(caller)
	if err := a.mayOperate(caller, c.signed); err != nil {
		return err
	}
	c.r = c.r.WithContext(tenancy.NewContext(c.ctx(), caller))
	return a.mayGoOn(c, tenancy.Control)
}

// mayOperate demands an operator of a project that admits the credential: what a stolen
// token cannot do to its own project, it must not do to all.
func (a *API) mayOperate(caller tenancy.Identity, signed bool) error {
	var refused error = &dms.Error{Code: dms.AccessDenied}
	for id := range caller.Grants {
		if !caller.Can(tenancy.Operate, id) {
			continue
		}
		p, err := a.o.Tenants.Project(id)
		if err != nil && !errors.Is(err, tenancy.ErrNoProject) {
			return unavailable(err)
		}
		err = checkBound(p, caller, signed)
		if err == nil {
			return nil
		}
		refused = err
	}
	return refused
}

// identify finds out who is calling, for routes of no project. What such a route changes
// is recorded in the trail of the caller's project, if there is one; whatever it does is
// taken out of that project's rate.
func (a *API) identify(c *call) error {
	ctx, cancel := context.WithTimeout(c.ctx(), authTimeout)
	defer cancel()
	caller, err := a.authenticate(ctx, c)
	if err != nil {
		return err
	}
	c.know(caller)
	id, only := onlyProject(caller)
	if only {
		if err := a.mayGoOn(c, id); err != nil {
			return err
		}
	}
	if only && c.route.changes() {
		p, err := a.admit(ctx, id, caller.Grants[id].Name)
		if err != nil && !noProject(err) {
			return err
		}
		if err == nil {
			ev := eventOf(c.ctx())
			c.project, ev.project, ev.member = p, id, true
		}
	}
	c.r = c.r.WithContext(tenancy.NewContext(c.ctx(), caller))
	return nil
}

// know notes that the credential is good, and whose it is.
func (c *call) know(caller tenancy.Identity) {
	ev := eventOf(c.ctx())
	ev.caller, ev.known = caller, true
}

// onlyProject is the project of a caller who has rights in just one.
func onlyProject(caller tenancy.Identity) (tenancy.ProjectID, bool) {
	for id := range caller.Grants {
		return id, len(caller.Grants) == 1
	}
	return "", false
}

// caller is who authorise or identify found; for a public route it may do nothing.
func (c *call) caller() tenancy.Identity {
	id, _ := tenancy.FromContext(c.ctx())
	return id
}

// checkQueue refuses a caller with permissions on single queues what it was not
// permitted on this one. A queue of which it knows nothing does not exist for it.
func (c *call) checkQueue() error {
	if !c.limited {
		return nil
	}
	caller, project, queue := c.caller(), c.project.ID, string(c.queue.Queue)
	switch {
	case queue == "" && c.route.limited:
		return nil
	case queue == "":
		return &dms.Error{Code: dms.AccessDenied}
	case caller.CanOn(c.route.needs, project, queue):
		return nil
	case caller.CanOn(tenancy.Observe, project, queue):
		return &dms.Error{Code: dms.AccessDenied}
	}
	return &dms.Error{Code: dms.QueueNotFound}
}

// admit asks for the project; one that does not exist looks like a foreign one.
func (a *API) admit(ctx context.Context, id tenancy.ProjectID, name string) (tenancy.Project, error) {
	p, err := a.o.Projects.Admit(ctx, id, name)
	switch {
	case err == nil:
		return p, nil
	case errors.Is(err, tenancy.ErrNoProject):
		return tenancy.Project{}, dms.Wrap(dms.ProjectMismatch, err)
	}
	return tenancy.Project{}, unavailable(err)
}

// noProject reports whether an error of admit says that there is no such project.
func noProject(err error) bool { return errors.Is(err, tenancy.ErrNoProject) }

// authenticate takes the first credential the request carries: a token in its own
// header, a signature, a bearer token, a session of the console.
func (a *API) authenticate(ctx context.Context, c *call) (tenancy.Identity, error) {
	h := c.r.Header
	if len(h.Values("X-Auth-Token")) > 1 || len(h.Values("Authorization")) > 1 {
		return tenancy.Identity{}, dms.Wrap(dms.TokenInvalid, errors.New("a credential header is given twice"))
	}
	if token := strings.TrimSpace(h.Get("X-Auth-Token")); token != "" {
		return a.verifyToken(ctx, c.r, token)
	}
	scheme, rest, _ := strings.Cut(h.Get("Authorization"), " ")
	switch {
	case scheme == "SDK-HMAC-SHA256" || scheme == "V11-HMAC-SHA256":
		return a.verifySignature(c)
	case strings.EqualFold(scheme, "Bearer") && strings.TrimSpace(rest) != "":
		return a.verifyToken(ctx, c.r, strings.TrimSpace(rest))
	case h.Get("Authorization") == "" && a.o.Console != nil:
		if id, found, err := a.verifySession(ctx, c); found {
			return id, err
		}
	}
	return tenancy.Identity{}, &dms.Error{Code: dms.TokenMissing}
}

// verifySession accepts who has signed in to the console, and false if the request has no
// cookie of it. A browser adds the cookie to requests that other sites make it send, which
// are refused here, also those that only read: to receive messages is a GET.
func (a *API) verifySession(ctx context.Context, c *call) (tenancy.Identity, bool, error) {
	r := c.r.WithContext(ctx)
	id, found, err := a.o.Console.Caller(r)
	if !found {
		return tenancy.Identity{}, false, nil
	}
	site := r.Header.Get("Sec-Fetch-Site")
	if foreign := a.foreign.Check(r); foreign != nil || site != "" && site != "same-origin" && site != "none" {
		return tenancy.Identity{}, true, dms.Errorf(dms.AccessDenied, "the request comes from another site, for which the console's session does not count")
	}
	switch {
	case errors.Is(err, tenancy.ErrExpired):
		return tenancy.Identity{}, true, &dms.Error{Code: dms.TokenExpired, Message: "the session has ended: sign in again", Err: err}
	case err == nil:
		err = a.checkHolder(r, id)
	}
	if err != nil {
		return tenancy.Identity{}, true, tokenError(err)
	}
	c.cookie = true
	a.o.Console.UsedBy(r)
	return id, true, nil
}

func (a *API) verifyToken(ctx context.Context, r *http.Request, token string) (tenancy.Identity, error) {
	id, _, err := a.o.Tokens.VerifyToken(ctx, token)
	if err == nil {
		err = a.checkHolder(r, id)
	}
	if err != nil {
		return tenancy.Identity{}, tokenError(err)
	}
	return id, nil
}

// tokenError gives a verifier's error its code. Anything but a verdict on the token
// means that the verifier could not reach one.
func tokenError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, tenancy.ErrExpired):
		return dms.Wrap(dms.TokenExpired, err)
	case errors.Is(err, tenancy.ErrUnauthenticated):
		return dms.Wrap(dms.TokenInvalid, err)
	}
	return unavailable(err)
}

func (a *API) verifySignature(c *call) (tenancy.Identity, error) {
	if a.o.Signatures == nil {
		return tenancy.Identity{}, dms.Wrap(dms.SignatureBad, errors.New("signed requests are not served here"))
	}
	if err := c.readBody(); err != nil {
		return tenancy.Identity{}, err
	}
	c.signed = true
	id, err := a.o.Signatures.VerifySignature(c.r, c.body)
	switch {
	case err == nil:
		return id, nil
	case errors.Is(err, tenancy.ErrUnauthenticated), errors.Is(err, tenancy.ErrExpired):
		return tenancy.Identity{}, dms.Wrap(dms.SignatureBad, err)
	}
	return tenancy.Identity{}, unavailable(err)
}

// unavailable gives an error without a code the one that asks to repeat the request.
func unavailable(err error) error {
	if _, ok := errors.AsType[*dms.Error](err); ok {
		return err
	}
	return dms.Wrap(dms.Unavailable, err)
}
