package deploy

import (
	"io"
	"net/http"
	"strings"

	"dms/deploy/devidp"
)

// adminHandler serves what operators and load balancers ask. There is nothing else on
// this listener, because it asks for no credentials.
func (n *Node) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if why := n.notReady(); why != "" {
			answer(w, http.StatusServiceUnavailable, why)
			return
		}
		answer(w, http.StatusOK, "ok")
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) { n.monitor.Handler().ServeHTTP(w, r) })
	return mux
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// A client that is gone needs no answer.
	_, _ = io.WriteString(w, text+"\n")
}

// serveAPI answers 503 until the API is wired, and while the clock is wrong by which it
// would judge tokens and handlers.
func (n *Node) serveAPI(w http.ResponseWriter, r *http.Request) {
	h, why := n.handler.Load(), n.clock.wrong()
	switch {
	case h == nil:
		why = "the node is starting"
	case why == "":
		(*h).ServeHTTP(w, r)
		return
	}
	w.Header().Set("Retry-After", "1")
	answer(w, http.StatusServiceUnavailable, why)
}

// route puts the development identity provider, if there is one, beside the API.
func (n *Node) route(api http.Handler) http.Handler {
	if n.mounted == nil {
		return api
	}
	// Not a ServeMux: it answers unclean paths with redirects, which clients of the API
	// do not sign anew.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, devidp.Path+"/") {
			n.mounted.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(w, r)
	})
}
