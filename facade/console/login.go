package console

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"dms/tenancy"
)

const (
	// tripLife is how long somebody may take to sign in at the provider.
	tripLife = 10 * time.Minute
	// signInWithin ends what is asked of a provider and of the storage for one request.
	signInWithin = 25 * time.Second
	// tripPlace ties a sealed trip to its use.
	tripPlace = "dms console sign-in 1"
)

// trip is what a browser carries, sealed, to the provider and back: any node can take up
// where another has begun.
type trip struct {
	Provider string    `json:"p"`
	State    string    `json:"s"`
	Nonce    string    `json:"n"`
	Verifier string    `json:"v"` // of PKCE
	Redirect string    `json:"u"` // as the provider was told
	Return   string    `json:"r"` // path in the console
	At       time.Time `json:"t"`
}

// login sends the browser to the provider.
func (c *Console) login(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	p := c.chosen(query.Get("provider"))
	if p == nil {
		c.show(w, http.StatusBadRequest, message{Title: "Unknown identity provider",
			Text: "This service has no identity provider of that name that people can sign in with."})
		return
	}
	// The cookie has to be set where the provider will send the browser back to. Once is
	// enough: a proxy may change the host's name on its way here.
	if base, err := url.Parse(c.base(r)); err == nil && base.Host != r.Host && !query.Has("moved") {
		query.Set("moved", "1")
		http.Redirect(w, r, base.String()+loginPath+"?"+query.Encode(), http.StatusFound)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), signInWithin)
	defer cancel()
	e, err := p.discover(ctx)
	if err != nil {
		c.failed(w, r, err, Path)
		return
	}
	t := trip{
		Provider: p.ID, State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(),
		Redirect: c.base(r) + callbackPath, Return: returnTo(query.Get("return")), At: c.o.Now().UTC(),
	}
	sealed, err := c.sealTrip(t)
	if err != nil {
		c.failed(w, r, err, Path)
		return
	}
	// Lax: the way back is a navigation from another site.
	c.setCookie(w, signInCookie, sealed, tripLife, http.SameSiteLaxMode)
	target := p.config(e, t.Redirect).AuthCodeURL(t.State, gooidc.Nonce(t.Nonce), oauth2.S256ChallengeOption(t.Verifier))
	http.Redirect(w, r, target, http.StatusFound)
}

// chosen returns the provider with the id; without one, the only provider.
func (c *Console) chosen(id string) *provider {
	for _, p := range c.providers {
		if p.ID == id || id == "" && len(c.providers) == 1 {
			return p
		}
	}
	return nil
}

// returnTo keeps what is a path of the console, so that nobody can make us send people
// elsewhere.
func returnTo(s string) string {
	u, err := url.Parse(s)
	if err != nil || len(s) > 1024 || u.IsAbs() || u.Host != "" || u.User != nil || strings.ContainsAny(s, "\\\r\n\t") ||
		!strings.HasPrefix(u.Path, Path) || path.Clean(u.Path)+"/" != Path && !strings.HasPrefix(path.Clean(u.Path), Path) {
		return Path
	}
	switch u.Path {
	case loginPath, callbackPath, sessionPath:
		return Path
	}
	return (&url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery, Fragment: u.Fragment}).String()
}

func (c *Console) sealTrip(t trip) (string, error) {
	plain, err := json.Marshal(t)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(c.boxes.Append(nil, plain, []byte(tripPlace))), nil
}

// openTrip returns the trip of a cookie, and false for anything that this service did not
// seal or that is too old.
func (c *Console) openTrip(text string) (t trip, ok bool) {
	if len(text) > 8<<10 {
		return t, false
	}
	box, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return t, false
	}
	plain, err := c.boxes.Open(box, []byte(tripPlace))
	if err != nil || json.Unmarshal(plain, &t) != nil {
		return trip{}, false
	}
	age := c.o.Now().Sub(t.At)
	return t, age < tripLife && age > -time.Minute // clocks of nodes differ
}

// callback takes the browser back from the provider.
func (c *Console) callback(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), signInWithin)
	defer cancel()
	t, ok := c.openTrip(c.cookie(r, signInCookie))
	query := r.URL.Query()
	switch {
	case !ok:
		c.refuse(w, r, http.StatusBadRequest, Path, "no sign-in is under way in this browser",
			"Signing in took too long, or was not begun in this browser.")
		return
	case len(query["state"]) != 1 || subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(t.State)) != 1:
		// The cookie stays: a foreign link must not end a sign-in that is under way.
		c.refuse(w, r, http.StatusBadRequest, t.Return, "the state is another",
			"This is the answer to another sign-in than the one that this browser has begun last.")
		return
	}
	c.setCookie(w, signInCookie, "", 0, http.SameSiteLaxMode)
	p := c.chosen(t.Provider)
	if p == nil {
		c.refuse(w, r, http.StatusBadRequest, Path, "the provider is gone", "The identity provider is no longer one of this service.")
		return
	}
	if iss, given := query["iss"]; given && (len(iss) != 1 || iss[0] != p.Issuer) { // RFC 9207
		c.refuse(w, r, http.StatusBadRequest, t.Return, "the issuer is another", "The answer is of another identity provider than the one that was asked.")
		return
	}
	if problem := query.Get("error"); problem != "" {
		if !errorCode.MatchString(problem) {
			problem = "unknown"
		}
		c.refuse(w, r, http.StatusForbidden, t.Return, "the provider says "+problem, "The identity provider did not let you in. It says: "+problem+".")
		return
	}
	token, err := p.exchange(ctx, query.Get("code"), t)
	if err == nil {
		err = c.once(ctx, t)
	}
	if err == nil {
		err = c.begin(ctx, w, r, p, token)
	}
	if err != nil {
		c.failed(w, r, err, t.Return)
		return
	}
	http.Redirect(w, r, t.Return, http.StatusSeeOther)
}

// once refuses a sign-in that has been used, for providers that take a code twice. It comes
// after the exchange, so that only those who have an account can make us write.
func (c *Console) once(ctx context.Context, t trip) error {
	first, err := c.o.Sessions.Once(ctx, "state "+t.State, tripLife+time.Minute)
	if err == nil && !first {
		err = fmt.Errorf("%w: it has been used", errRefused)
	}
	return err
}

var errorCode = regexp.MustCompile(`^[a-z_]{1,40}$`)

// begin makes a session of the tokens. One that the browser had before is ended, so that a
// session never changes its owner.
func (c *Console) begin(ctx context.Context, w http.ResponseWriter, r *http.Request, p *provider, token *oauth2.Token) error {
	one, id, err := c.judge(ctx, tenancy.Session{
		Provider: p.ID, Access: token.AccessToken, ID: idToken(token), Refresh: token.RefreshToken,
	})
	if err != nil {
		return err
	}
	if len(id.Grants) == 0 {
		return errNoProject
	}
	secret, err := c.o.Sessions.Start(ctx, one)
	if err != nil {
		return err
	}
	if old := c.cookie(r, sessionCookie); old != "" {
		if err := c.o.Sessions.Stop(ctx, old); err != nil {
			c.o.Log.LogAttrs(ctx, slog.LevelWarn, "a session that was replaced ends by itself only", slog.Any("err", err))
		}
	}
	// Strict: no other site can make the browser show it, not even by a link. The pages
	// need no cookie, and what they ask for comes from this site.
	c.setCookie(w, sessionCookie, secret, c.o.Sessions.End(tenancy.Session{Started: c.o.Now()}).Sub(c.o.Now()), http.SameSiteStrictMode)
	c.o.Log.LogAttrs(ctx, slog.LevelInfo, "signed in", slog.String("issuer", id.Issuer), slog.String("subject", id.Subject),
		slog.String("request_id", w.Header().Get("X-Request-Id")))
	return nil
}

var errNoProject = errors.New("the caller has no project")

// refuse answers to a browser that comes back with something that is no good.
func (c *Console) refuse(w http.ResponseWriter, r *http.Request, status int, back, why, sentence string) {
	c.o.Log.LogAttrs(r.Context(), slog.LevelInfo, "sign-in refused", slog.String("cause", why), slog.String("request_id", w.Header().Get("X-Request-Id")))
	c.show(w, status, message{Title: "You are not signed in", Text: sentence, Again: again(back)})
}

// failed answers to an error on the way in.
func (c *Console) failed(w http.ResponseWriter, r *http.Request, err error, back string) {
	why := fmt.Sprint(err)
	switch {
	case errors.Is(err, errNoProject):
		c.refuse(w, r, http.StatusForbidden, back, why, "You have an account, but none of this service's projects is open to it. Ask whoever runs the service.")
	case errors.Is(err, errRefused), errors.Is(err, tenancy.ErrUnauthenticated), errors.Is(err, tenancy.ErrExpired):
		c.refuse(w, r, http.StatusForbidden, back, why, "The identity provider's answer is not one that this service accepts.")
	default:
		w.Header().Set("Retry-After", "5")
		c.refuse(w, r, http.StatusServiceUnavailable, back, why, "The identity provider, or this service, cannot be asked at the moment.")
	}
}

// again is where a new attempt begins.
func again(back string) string {
	return loginPath + "?" + url.Values{"return": {back}}.Encode()
}
