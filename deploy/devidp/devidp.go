package devidp

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/op"

	"dms/tenancy"
)

const (
	// Path is where the provider of dms dev lives below the address of the service. An
	// issuer that ends in it is refused by services that are not for development.
	Path = "/idp"
	// ConsoleClient is the id of the console, a public client: it has no secret and
	// must use PKCE.
	ConsoleClient = "dms-console"
	// Audience is what access tokens and ID tokens are for.
	Audience = "dms"
	// ProjectsClaim is the claim with the projects of the user.
	ProjectsClaim = "dms_projects"

	maxTokenLife = 24 * time.Hour
)

// Options describe a development identity provider.
type Options struct {
	// Development must be true. It is here to be seen where the provider is made.
	Development bool
	// Issuer is a base URL followed by Path, or by another path where the provider is beside
	// a service and not of it.
	Issuer string
	// Users are at least one.
	Users []User
	// Redirects are the exact URLs to which the console may be sent back after signing
	// in, LogoutRedirects after signing out.
	Redirects       []string
	LogoutRedirects []string
	// Hint is shown below the form, such as a name and a password to try; it may be empty.
	Hint string
	// Dir keeps the signing key, so that tokens stay valid when the service is started
	// again. If it is empty, the key is lost at the end.
	Dir string
	Log *slog.Logger     // nil discards
	Now func() time.Time // nil means time.Now
}

// User is somebody who can sign in.
type User struct {
	Name     string // to sign in with, and the subject of tokens: lower-case letters, digits, ".", "_", "-"
	Password string
	FullName string // for people; may be empty
	Projects []Membership
}

// LogValue keeps the password out of logs.
func (u User) LogValue() slog.Value { return slog.StringValue(u.Name) }

// Membership is what a user may do in one project. In tokens it is an entry of
// ProjectsClaim.
type Membership struct {
	Project tenancy.ProjectID `json:"id"`
	Name    string            `json:"name"`
	Roles   []tenancy.Role    `json:"roles"`
}

// Provider is a running identity provider. It starts no goroutines and needs no end.
type Provider struct {
	issuer string
	store  *store
	mux    *http.ServeMux
}

var userName = regexp.MustCompile(`^[a-z0-9._-]{1,64}$`)

// New makes a provider. It reads the signing key in Dir, or makes one.
func New(o Options) (*Provider, error) {
	if !o.Development {
		return nil, errors.New("the development identity provider is not for production")
	}
	u, err := url.Parse(o.Issuer)
	if err != nil || u.Host == "" || len(u.Path) < 2 || strings.HasSuffix(u.Path, "/") || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("issuer %q: want a base URL followed by a path such as %s", o.Issuer, Path)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	users, err := indexUsers(o.Users)
	if err != nil {
		return nil, err
	}
	key, err := loadKey(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	p := &Provider{
		issuer: o.Issuer,
		store:  newStore(o, users, key, u.Path),
		mux:    http.NewServeMux(),
	}
	provider, err := op.NewProvider(&op.Config{
		CodeMethodS256:           true,
		GrantTypeRefreshToken:    true,
		DefaultLogoutRedirectURI: "/",
		SupportedScopes:          []string{"openid", "profile", "offline_access"},
	}, p.store, op.StaticIssuer(o.Issuer),
		op.WithAllowInsecure(), op.WithCrypto(p.store), op.WithCORSOptions(nil))
	if err != nil {
		return nil, fmt.Errorf("identity provider: %w", err)
	}
	l := login{store: p.store, log: o.Log.With("component", "devidp"), path: u.Path, hint: o.Hint, back: op.AuthCallbackURL(provider)}
	p.mux.HandleFunc("GET "+u.Path+"/login", l.show)
	// The interceptor puts the issuer into the context, where op looks for it.
	p.mux.Handle("POST "+u.Path+"/login", op.NewIssuerInterceptor(provider.IssuerFromRequest).HandlerFunc(l.check))
	p.mux.Handle(u.Path+"/", http.StripPrefix(u.Path, provider))
	return p, nil
}

// Issuer is the provider's issuer URL.
func (p *Provider) Issuer() string { return p.issuer }

// ServeHTTP serves everything below the issuer's path, which the request's path includes.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// op has no bound of its own on forms.
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	w.Header().Set("Cache-Control", "no-store")
	p.mux.ServeHTTP(w, r)
}

func indexUsers(users []User) (map[string]User, error) {
	if len(users) == 0 {
		return nil, errors.New("no users")
	}
	index := make(map[string]User, len(users))
	for _, u := range users {
		if !userName.MatchString(u.Name) {
			return nil, fmt.Errorf("user %q: want 1 to 64 lower-case letters, digits, ., _ and -", u.Name)
		}
		if _, ok := index[u.Name]; ok {
			return nil, fmt.Errorf("user %s occurs twice", u.Name)
		}
		if strings.TrimSpace(u.Password) == "" {
			return nil, fmt.Errorf("user %s has no password", u.Name)
		}
		for _, m := range u.Projects {
			if _, err := tenancy.ParseProjectID(string(m.Project)); err != nil {
				return nil, fmt.Errorf("user %s: %w", u.Name, err)
			}
			for _, r := range m.Roles {
				if _, err := tenancy.ParseRole(string(r)); err != nil {
					return nil, fmt.Errorf("user %s: %w", u.Name, err)
				}
			}
		}
		index[u.Name] = u
	}
	return index, nil
}
