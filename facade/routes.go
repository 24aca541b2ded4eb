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
// needs, or say that it needs just a caller, or that it is public; the API does not start
// otherwise.
type route struct {
	method  string
	pattern string
	needs   tenancy.Permission
	public  bool
	login   bool // public, and takes a credential of its own
	caller  bool // needs a caller, whatever the project
	// limited routes are open to callers with permissions on single queues although the
	// URL names no queue: the handler shows only theirs.
	limited  bool
	stores   bool // needs room on the disks
	keystone bool // errors are in the shape of OpenStack's identity service
	class    class
	body     int64 // largest request body in bytes
	message  bool  // one of the message operations, whose bodies have error codes of their own
	handler  func(*API, *call) error
	action   string // name of the operation, as the description has it; set when served
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
	get, post, patch, del := http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete
	const (
		queue = "/{project}/queues/{queue}"
		group = queue + "/groups/{group}"
		tags  = "/{project}/queue/{queue}/tags"
		keys  = "/{project}/access-keys"
		key   = keys + "/{access_key}"
	)
	var all []route
	for _, r := range []route{
		{method: post, pattern: "/{project}/queues", needs: tenancy.Manage, body: manageBody, stores: true, handler: (*API).createQueue},
		{method: get, pattern: "/{project}/queues", needs: tenancy.Observe, limited: true, body: noBody, handler: (*API).listQueues},
		{method: get, pattern: queue, needs: tenancy.Observe, body: noBody, handler: (*API).showQueue},
		{method: del, pattern: queue, needs: tenancy.Manage, body: noBody, handler: (*API).deleteQueue},

		{method: post, pattern: queue + "/groups", needs: tenancy.Manage, body: manageBody, stores: true, handler: (*API).createGroups},
		{method: get, pattern: queue + "/groups", needs: tenancy.Observe, body: noBody, handler: (*API).listGroups},
		// The literal comes from a client that fails to fill in its own URL.
		{method: get, pattern: queue + "/resourcePathGroups", needs: tenancy.Observe, body: noBody, handler: (*API).listGroups},
		{method: del, pattern: group, needs: tenancy.Manage, body: noBody, handler: (*API).deleteGroup},

		{method: post, pattern: queue + "/messages", needs: tenancy.Produce, class: sends, message: true, body: sendBody, stores: true, handler: (*API).sendMessages},
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
		{method: get, pattern: "/{project}/audit", needs: tenancy.Manage, body: noBody, handler: (*API).listAudit},
		{method: get, pattern: "/{project}/audit/verify", needs: tenancy.Manage, body: noBody, handler: (*API).verifyAudit},
		{method: post, pattern: "/{project}/queue/resource_instances/action", needs: tenancy.Observe, body: manageBody, handler: (*API).findQueues},

		{method: get, pattern: keys, needs: tenancy.Manage, body: noBody, handler: (*API).listAccessKeys},
		{method: post, pattern: keys, needs: tenancy.Manage, body: manageBody, handler: (*API).createAccessKey},
		{method: get, pattern: key, needs: tenancy.Manage, body: noBody, handler: (*API).showAccessKey},
		{method: patch, pattern: key, needs: tenancy.Manage, body: manageBody, handler: (*API).changeAccessKey},
		{method: del, pattern: key, needs: tenancy.Manage, body: noBody, handler: (*API).deleteAccessKey},
		{method: post, pattern: key + "/rotate", needs: tenancy.Manage, body: noBody, handler: (*API).rotateAccessKey},
	} {
		for _, v := range versions() {
			below := r
			below.pattern = v + r.pattern
			all = append(all, below)
		}
	}
	const federation = "/v3/OS-FEDERATION/identity_providers/{idp}/protocols/{protocol}/auth"
	const alarms = "/v2/{project}/alarms"
	all = append(all,
		route{method: get, pattern: "/v2/{project}/metrics", needs: tenancy.Observe, body: noBody, handler: (*API).showMetrics},
		route{method: get, pattern: alarms, needs: tenancy.Observe, body: noBody, handler: (*API).listAlarms},
		route{method: post, pattern: alarms, needs: tenancy.Manage, body: manageBody, handler: (*API).createAlarm},
		route{method: get, pattern: alarms + "/{alarm}", needs: tenancy.Observe, body: noBody, handler: (*API).showAlarm},
		route{method: http.MethodPut, pattern: alarms + "/{alarm}", needs: tenancy.Manage, body: manageBody, handler: (*API).replaceAlarm},
		route{method: del, pattern: alarms + "/{alarm}", needs: tenancy.Manage, body: noBody, handler: (*API).deleteAlarm},
		route{method: post, pattern: alarms + "/{alarm}/mute", needs: tenancy.Manage, body: manageBody, handler: (*API).muteAlarm},
		route{method: post, pattern: alarms + "/{alarm}/test", needs: tenancy.Manage, body: noBody, handler: (*API).testAlarm},
		route{method: get, pattern: alarms + "/{alarm}/history", needs: tenancy.Observe, body: noBody, handler: (*API).alarmHistory},
	)
	all = append(all, workbenchRoutes()...)
	all = append(all, route{method: get, pattern: "/v2/{project}/events", needs: tenancy.Observe, limited: true, class: streams, body: noBody, handler: (*API).streamEvents})
	return append(all,
		route{method: get, pattern: "/", public: true, keystone: true, body: noBody, handler: (*API).listVersions},
		route{method: get, pattern: "/v3", public: true, keystone: true, body: noBody, handler: (*API).showVersion},
		route{method: get, pattern: "/v3/", public: true, keystone: true, body: noBody, handler: (*API).showVersion},
		route{method: post, pattern: "/v3/auth/tokens", public: true, login: true, keystone: true, body: tokenBody, handler: (*API).createToken},
		route{method: get, pattern: "/v3/auth/tokens", caller: true, keystone: true, body: noBody, handler: (*API).showToken},
		route{method: del, pattern: "/v3/auth/tokens", caller: true, keystone: true, body: noBody, handler: (*API).revokeToken},
		route{method: get, pattern: "/v3/auth/catalog", caller: true, keystone: true, body: noBody, handler: (*API).showCatalog},
		route{method: get, pattern: "/v3/auth/projects", caller: true, keystone: true, body: noBody, handler: (*API).listOwnProjects},
		route{method: get, pattern: "/v3/projects", caller: true, keystone: true, body: noBody, handler: (*API).listOwnProjects},
		route{method: get, pattern: "/v3/auth/domains", caller: true, keystone: true, body: noBody, handler: (*API).listDomains},
		route{method: get, pattern: "/v3/users", caller: true, keystone: true, body: noBody, handler: (*API).listUsers},
		route{method: get, pattern: federation, public: true, login: true, keystone: true, body: noBody, handler: (*API).federate},
		route{method: post, pattern: federation, public: true, login: true, keystone: true, body: noBody, handler: (*API).federate},
		route{method: post, pattern: "/v3.0/OS-AUTH/id-token/tokens", public: true, login: true, body: tokenBody, handler: (*API).exchangeToken},

		route{method: get, pattern: "/admin/v1/projects", needs: tenancy.Operate, body: noBody, handler: (*API).listProjects},
		route{method: post, pattern: "/admin/v1/projects", needs: tenancy.Operate, body: manageBody, stores: true, handler: (*API).createProject},
		route{method: get, pattern: "/admin/v1/projects/{project}", needs: tenancy.Operate, body: noBody, handler: (*API).showProject},
		route{method: patch, pattern: "/admin/v1/projects/{project}", needs: tenancy.Operate, body: manageBody, handler: (*API).changeProject},
		route{method: del, pattern: "/admin/v1/projects/{project}", needs: tenancy.Operate, body: noBody, handler: (*API).deleteProject},
		route{method: get, pattern: "/admin/v1/cluster", needs: tenancy.Operate, body: noBody, handler: (*API).showCluster},
		route{method: del, pattern: "/admin/v1/cluster/members/{member}", needs: tenancy.Operate, body: noBody, handler: (*API).removeMember},
		route{method: get, pattern: "/admin/v1/audit", needs: tenancy.Operate, body: noBody, handler: (*API).listAudit},
		route{method: get, pattern: "/admin/v1/audit/verify", needs: tenancy.Operate, body: noBody, handler: (*API).verifyAudit},

		route{method: get, pattern: "/openapi.yaml", public: true, body: noBody, handler: (*API).document},
	)
}

// mux builds the router from the table.
func (a *API) mux() (*chi.Mux, error) {
	mux := chi.NewRouter()
	named, err := actions()
	if err != nil {
		return nil, err
	}
	for _, rt := range routes() {
		if err := errors.Join(rt.validate(), rt.name(named)); err != nil {
			return nil, err
		}
		mux.Method(rt.method, rt.pattern, a.serve(rt))
	}
	if a.o.Console != nil {
		mux.Handle("/console", a.page(http.RedirectHandler("/console/", http.StatusMovedPermanently)))
		mux.Handle("/console/*", a.page(a.o.Console))
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

// page is a handler of the console's. It has an ID and a log line like the API, and errors
// of its own; who guesses sessions is slowed down like who guesses tokens.
func (a *API) page(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ev := eventOf(r.Context())
		ev.route, ev.bare = a.o.Console.Route(r.URL.Path), !a.o.Console.Presented(r)
		if !ev.bare {
			if err := a.mayTry(&call{w: w, r: r}); err != nil {
				a.writeError(w, r, err)
				return
			}
		}
		h.ServeHTTP(w, r)
	})
}

func (rt route) validate() error {
	who := 0
	for _, stated := range []bool{rt.public, rt.caller, rt.needs != 0} {
		if stated {
			who++
		}
	}
	switch {
	case who != 1:
		return fmt.Errorf("route %s %s must either need a permission, or a caller, or be public", rt.method, rt.pattern)
	case rt.login && !rt.public:
		return fmt.Errorf("route %s %s is a login that is not public", rt.method, rt.pattern)
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
	for _, m := range []string{http.MethodDelete, http.MethodGet, http.MethodPatch, http.MethodPost, http.MethodPut} {
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
