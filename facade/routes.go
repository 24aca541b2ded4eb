package facade

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"dms/mapping/dms"
	"dms/tenancy"

	"github.com/go-chi/chi/v5"
)

// route is one row of the URL surface. A route must either name the permission it
// needs or say that it is public; the API does not start otherwise.
type route struct {
	method  string
	pattern string
	needs   tenancy.Permission
	public  bool
	class   class
	body    int64 // largest request body in bytes
	message bool  // one of the message operations, whose bodies have error codes of their own
	handler func(*API, *call) error
}

// Largest request bodies. A send may hold 512 KiB of compact JSON, and this much more
// for its envelope and for white space inside bodies, which is kept.
const (
	noBody     = 4 << 10 // read for its signature, otherwise ignored
	manageBody = 64 << 10
	ackBody    = 256 << 10
	tokenBody  = 64 << 10
	sendBody   = dms.MaxMessageSize + 256<<10
)

// versions are the prefixes under which the same operations are served.
func versions() []string { return []string{"/v1", "/v1.0", "/v2"} }

// routes returns every URL of the API. Patterns of projects are served below each of
// the versions.
func routes() []route {
	get, post, del := http.MethodGet, http.MethodPost, http.MethodDelete
	const (
		queue = "/{project}/queues/{queue}"
		group = queue + "/groups/{group}"
		tags  = "/{project}/queue/{queue}/tags"
	)
	var all []route
	for _, r := range []route{
		{method: post, pattern: "/{project}/queues", needs: tenancy.Manage, body: manageBody, handler: (*API).createQueue},
		{method: get, pattern: "/{project}/queues", needs: tenancy.Observe, body: noBody, handler: (*API).listQueues},
		{method: get, pattern: queue, needs: tenancy.Observe, body: noBody, handler: (*API).showQueue},
		{method: del, pattern: queue, needs: tenancy.Manage, body: noBody, handler: (*API).deleteQueue},

		{method: post, pattern: queue + "/groups", needs: tenancy.Manage, body: manageBody, handler: (*API).createGroups},
		{method: get, pattern: queue + "/groups", needs: tenancy.Observe, body: noBody, handler: (*API).listGroups},
		// The literal comes from a client that fails to fill in its own URL.
		{method: get, pattern: queue + "/resourcePathGroups", needs: tenancy.Observe, body: noBody, handler: (*API).listGroups},
		{method: del, pattern: group, needs: tenancy.Manage, body: noBody, handler: (*API).deleteGroup},

		{method: post, pattern: queue + "/messages", needs: tenancy.Produce, class: sends, message: true, body: sendBody, handler: (*API).sendMessages},
		{method: get, pattern: group + "/messages", needs: tenancy.Consume, class: polls, message: true, body: noBody, handler: (*API).consumeMessages},
		{method: post, pattern: group + "/ack", needs: tenancy.Consume, class: acks, message: true, body: ackBody, handler: (*API).ackMessages},
		{method: get, pattern: group + "/deadletters", needs: tenancy.Consume, class: polls, message: true, body: noBody, handler: (*API).consumeDeadLetters},
		{method: post, pattern: group + "/deadletters/ack", needs: tenancy.Consume, class: acks, message: true, body: ackBody, handler: (*API).ackDeadLetters},

		{method: get, pattern: "/{project}/quotas/dms", needs: tenancy.Observe, body: noBody, handler: (*API).showQuotas},
		{method: get, pattern: "/{project}/quotas", needs: tenancy.Observe, body: noBody, handler: (*API).showQuotas},

		{method: post, pattern: tags + "/action", needs: tenancy.Manage, body: manageBody, handler: (*API).changeTags},
		{method: get, pattern: tags, needs: tenancy.Observe, body: noBody, handler: (*API).queueTags},
		{method: post, pattern: tags, needs: tenancy.Manage, body: manageBody, handler: (*API).addTag},
		{method: del, pattern: tags + "/{key}", needs: tenancy.Manage, body: noBody, handler: (*API).deleteTag},
		{method: del, pattern: tags + "/", needs: tenancy.Manage, body: noBody, handler: (*API).deleteTag},
		{method: get, pattern: "/{project}/queue/tags", needs: tenancy.Observe, body: noBody, handler: (*API).projectTags},
		{method: post, pattern: "/{project}/queue/resource_instances/action", needs: tenancy.Observe, body: manageBody, handler: (*API).findQueues},
	} {
		for _, v := range versions() {
			below := r
			below.pattern = v + r.pattern
			all = append(all, below)
		}
	}
	all = append(all, workbenchRoutes()...)
	return append(all,
		route{method: post, pattern: "/v3.0/OS-AUTH/id-token/tokens", public: true, body: tokenBody, handler: (*API).exchangeToken},
		route{method: get, pattern: "/openapi.yaml", public: true, body: noBody, handler: (*API).document},
	)
}

// mux builds the router from the table.
func (a *API) mux() (*chi.Mux, error) {
	mux := chi.NewRouter()
	for _, rt := range routes() {
		if err := rt.validate(); err != nil {
			return nil, err
		}
		mux.Method(rt.method, rt.pattern, a.serve(rt))
	}
	mux.NotFound(func(w http.ResponseWriter, r *http.Request) {
		a.writeError(w, r, &dms.Error{Code: dms.NoSuchRoute})
	})
	mux.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", strings.Join(allowed(mux, r), ", "))
		a.writeError(w, r, &dms.Error{Code: dms.MethodNotAllowed})
	})
	return mux, nil
}

func (rt route) validate() error {
	switch {
	case rt.public == (rt.needs != 0):
		return fmt.Errorf("route %s %s must either need a permission or be public", rt.method, rt.pattern)
	case rt.body <= 0 || rt.handler == nil:
		return fmt.Errorf("route %s %s has no body limit or no handler", rt.method, rt.pattern)
	}
	return nil
}

// allowed lists the methods that the request's URL takes.
func allowed(mux *chi.Mux, r *http.Request) []string {
	path := r.URL.RawPath
	if path == "" {
		path = r.URL.Path
	}
	var methods []string
	for _, m := range []string{http.MethodDelete, http.MethodGet, http.MethodPatch, http.MethodPost} {
		if mux.Match(chi.NewRouteContext(), m, path) {
			methods = append(methods, m)
		}
	}
	return methods
}

var errBadEscape = errors.New("malformed escape in path")

// param returns the decoded value of a path parameter.
func param(r *http.Request, name string) (string, error) {
	v := chi.URLParam(r, name)
	if r.URL.RawPath == "" {
		return v, nil // the router matched the decoded path
	}
	v, err := url.PathUnescape(v)
	if err != nil {
		return "", errBadEscape
	}
	return v, nil
}
