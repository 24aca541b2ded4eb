package console

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"dms/tenancy"
	"dms/tenancy/seal"
)

// Path is where the console lives; everything below it is the console's.
const Path = "/console/"

// The endpoints besides the application's own files.
const (
	loginPath    = Path + "login"    // GET ?provider=ID&return=/console/...: goes to the provider
	callbackPath = Path + "callback" // GET: the provider sends the browser back here
	sessionPath  = Path + "session"  // GET tells who has signed in, DELETE signs out
)

// Sessions keeps who has signed in, for all nodes.
type Sessions interface {
	// Start returns the secret that finds the session.
	Start(context.Context, tenancy.Session) (secret string, err error)
	// Find returns an error that wraps tenancy.ErrNoSession or tenancy.ErrUnavailable.
	Find(ctx context.Context, secret string) (tenancy.Session, error)
	// Use keeps the session, as it was found, from ending.
	Use(ctx context.Context, secret string, one tenancy.Session)
	// Change replaces the session by what f makes of it; f may be called repeatedly.
	Change(ctx context.Context, secret string, f func(tenancy.Session) (tenancy.Session, error)) (tenancy.Session, error)
	Stop(ctx context.Context, secret string) error
	// Once reports whether nobody has called it with the name before.
	Once(ctx context.Context, name string, life time.Duration) (first bool, err error)
	// Idle and End are when the session ends: without being used, and in any case.
	Idle(tenancy.Session) time.Time
	End(tenancy.Session) time.Time
}

// Tokens says who a token makes its holder. Errors wrap tenancy.ErrExpired,
// tenancy.ErrUnauthenticated or tenancy.ErrUnavailable.
type Tokens interface {
	VerifyToken(ctx context.Context, token string) (tenancy.Identity, time.Time, error)
	VerifyIDToken(ctx context.Context, provider, token string) (tenancy.Identity, time.Time, error)
}

// Options are what the console needs.
type Options struct {
	// Providers are those that people can sign in with. Without any, the pages are served
	// and nobody can sign in.
	Providers []Provider
	Sessions  Sessions
	Tokens    Tokens
	// Sealing seals what a browser carries to the provider and back: the same keys on all
	// nodes.
	Sealing []seal.Key
	// BaseURL is where browsers find the service, scheme and host; empty means the host
	// that a request was sent to.
	BaseURL string
	// Secure says that browsers reach the service by TLS only. Without it cookies are
	// plain ones, which is for a service that only its own machine reaches.
	Secure bool
	// ProjectName, if set, is what a project is called here, or "".
	ProjectName func(tenancy.ProjectID) string
	// Files is the built application; nil means the one in the program.
	Files fs.FS
	Log   *slog.Logger
	Now   func() time.Time // nil means time.Now
}

// Console serves browsers. It is safe for concurrent use and needs no end.
type Console struct {
	o         Options
	providers []*provider
	boxes     *seal.Sealer
	app       *application
	foreign   *http.CrossOriginProtection
}

// New makes the console. It asks no provider anything.
func New(o Options) (*Console, error) {
	if o.Sessions == nil || o.Tokens == nil || o.Log == nil {
		return nil, errors.New("console: a required option is missing")
	}
	if u, err := url.Parse(o.BaseURL); err != nil || o.BaseURL != "" && (u.Host == "" || u.Path != "") {
		return nil, fmt.Errorf("console: %q is not a scheme and a host", o.BaseURL)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.ProjectName == nil {
		o.ProjectName = func(tenancy.ProjectID) string { return "" }
	}
	if o.Files == nil {
		built, err := builtIn()
		if err != nil {
			return nil, fmt.Errorf("console: %w", err)
		}
		o.Files = built
	}
	o.Log = o.Log.With(slog.String("component", "console"))
	c := &Console{o: o, foreign: http.NewCrossOriginProtection()}
	var err error
	if c.boxes, err = seal.New(o.Sealing); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	if c.app, err = newApplication(o.Files); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	ids := make(map[string]bool)
	for _, p := range o.Providers {
		if p.ID == "" || p.Issuer == "" || p.ClientID == "" || p.Client == nil || ids[p.ID] {
			return nil, fmt.Errorf("console: identity provider %q is incomplete or there twice", p.ID)
		}
		ids[p.ID] = true
		c.providers = append(c.providers, &provider{Provider: p, now: o.Now})
	}
	return c, nil
}

// Route returns the pattern that a path belongs to, for logs and metrics.
func (c *Console) Route(path string) string {
	switch path {
	case loginPath, callbackPath, sessionPath:
		return path
	}
	if strings.HasPrefix(path, Path+assets) {
		return Path + assets + "*"
	}
	return Path + "*"
}

// ServeHTTP serves what is below Path.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.head(w)
	switch r.URL.Path {
	case loginPath:
		c.only(w, r, http.MethodGet, c.login)
	case callbackPath:
		c.only(w, r, http.MethodGet, c.callback)
	case sessionPath:
		if r.Method == http.MethodDelete {
			c.signOut(w, r)
			return
		}
		c.only(w, r, http.MethodGet, c.showSession, http.MethodDelete)
	default:
		c.only(w, r, http.MethodGet, c.file, http.MethodHead)
	}
}

// only refuses methods but the one, and those that are named beside it: they are told to
// the client, and HEAD is answered like GET.
func (c *Console) only(w http.ResponseWriter, r *http.Request, method string, h http.HandlerFunc, others ...string) {
	if r.Method == method || r.Method == http.MethodHead && len(others) > 0 && others[0] == http.MethodHead {
		h(w, r)
		return
	}
	w.Header().Set("Allow", strings.Join(append([]string{method}, others...), ", "))
	c.problem(w, http.StatusMethodNotAllowed, "method_not_allowed", "this URL does not take this method", nil)
}

// base is the scheme and the host of this service as the browser sees it.
func (c *Console) base(r *http.Request) string {
	if c.o.BaseURL != "" {
		return c.o.BaseURL
	}
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}
