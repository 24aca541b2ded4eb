package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"dms/tenancy"
)

// sessionInfo is who has signed in.
type sessionInfo struct {
	Subject  string        `json:"subject"`
	Name     string        `json:"name"`
	Issuer   string        `json:"issuer"`
	Provider string        `json:"provider"`
	Operator bool          `json:"operator"`
	Projects []projectInfo `json:"projects"`
	Started  time.Time     `json:"started_at"`
	// Expires is when the session ends if nothing is done, Ends when it does in any case.
	Expires   time.Time      `json:"expires_at"`
	Ends      time.Time      `json:"ends_at"`
	Words     string         `json:"words"`
	Providers []providerInfo `json:"providers"`
}

type projectInfo struct {
	ID    tenancy.ProjectID `json:"id"`
	Name  string            `json:"name"`
	Roles []tenancy.Role    `json:"roles"`
}

type providerInfo struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// showSession tells who has signed in. It does not keep a session from ending.
func (c *Console) showSession(w http.ResponseWriter, r *http.Request) {
	secret := c.cookie(r, sessionCookie)
	if secret == "" {
		c.nobody(w, "signed_out", "nobody has signed in in this browser")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), signInWithin)
	defer cancel()
	one, id, err := c.find(ctx, secret)
	switch {
	case err == nil:
	case errors.Is(err, tenancy.ErrExpired):
		c.setCookie(w, sessionCookie, "", 0, http.SameSiteStrictMode)
		c.nobody(w, "session_ended", "the session has ended: sign in again")
		return
	case errors.Is(err, tenancy.ErrUnauthenticated):
		c.setCookie(w, sessionCookie, "", 0, http.SameSiteStrictMode)
		c.nobody(w, "session_refused", "the service no longer accepts what you have signed in with: sign in again")
		return
	default:
		c.o.Log.LogAttrs(ctx, slog.LevelWarn, "a session cannot be looked up", slog.Any("err", err))
		w.Header().Set("Retry-After", "1")
		c.problem(w, http.StatusServiceUnavailable, "unavailable", "the service cannot tell at the moment who has signed in: try again", nil)
		return
	}
	answer(w, http.StatusOK, "application/json", c.info(one, id))
}

func (c *Console) info(one tenancy.Session, id tenancy.Identity) sessionInfo {
	info := sessionInfo{
		Subject: id.Subject, Name: cmp.Or(id.Name, id.Subject), Issuer: id.Issuer, Provider: one.Provider, Operator: id.Operates(),
		Projects: []projectInfo{}, Providers: c.offered(), Started: one.Started.Truncate(time.Second),
		Ends: c.o.Sessions.End(one).Truncate(time.Second), Expires: c.o.Sessions.Idle(one).Truncate(time.Second),
	}
	if one.Refresh == "" && one.Expires.Before(info.Ends) {
		info.Ends = one.Expires.UTC().Truncate(time.Second)
	}
	if info.Ends.Before(info.Expires) {
		info.Expires = info.Ends
	}
	clock := func(t time.Time) string { return t.UTC().Format("15:04 UTC") }
	info.Words = fmt.Sprintf("The session ends at %s unless you do something before then, and at %s whatever you do.", clock(info.Expires), clock(info.Ends))
	if !info.Expires.Before(info.Ends) {
		info.Words = fmt.Sprintf("The session ends at %s.", clock(info.Ends))
	}
	for _, project := range slices.Sorted(maps.Keys(id.Grants)) {
		grant := id.Grants[project]
		info.Projects = append(info.Projects, projectInfo{
			ID: project, Name: cmp.Or(c.o.ProjectName(project), grant.Name, string(project)), Roles: append([]tenancy.Role{}, grant.Roles...),
		})
	}
	slices.SortStableFunc(info.Projects, func(a, b projectInfo) int { return cmp.Compare(a.Name, b.Name) })
	return info
}

// offered are the providers that people can sign in with.
func (c *Console) offered() []providerInfo {
	all := make([]providerInfo, len(c.providers))
	for i, p := range c.providers {
		all[i] = providerInfo{p.ID, cmp.Or(p.Name, p.ID)}
	}
	return all
}

// nobody answers that nobody has signed in, and where that can be done.
func (c *Console) nobody(w http.ResponseWriter, code, detail string) {
	c.problem(w, http.StatusUnauthorized, code, detail, map[string]any{"providers": c.offered()})
}

// signOut ends the session here, and tells the browser where to end the one at the
// provider.
func (c *Console) signOut(w http.ResponseWriter, r *http.Request) {
	if err := c.foreign.Check(r); err != nil {
		c.problem(w, http.StatusForbidden, "foreign_origin", "the request comes from another site", nil)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), signInWithin)
	defer cancel()
	ended := struct {
		LogoutURL *string `json:"logout_url"`
	}{}
	if secret := c.cookie(r, sessionCookie); secret != "" {
		one, err := c.o.Sessions.Find(ctx, secret)
		if err == nil {
			ended.LogoutURL = c.logoutURL(ctx, r, one)
		}
		if err == nil || errors.Is(err, tenancy.ErrUnavailable) {
			err = c.o.Sessions.Stop(ctx, secret)
		}
		if err != nil && !errors.Is(err, tenancy.ErrNoSession) {
			c.o.Log.LogAttrs(ctx, slog.LevelWarn, "a session could not be ended", slog.Any("err", err))
			w.Header().Set("Retry-After", "1")
			c.problem(w, http.StatusServiceUnavailable, "unavailable", "the session could not be ended: try again", nil)
			return
		}
	}
	c.setCookie(w, sessionCookie, "", 0, http.SameSiteStrictMode)
	answer(w, http.StatusOK, "application/json", ended)
}

// logoutURL is where the browser signs out at the provider, nil if that has no such
// place (OpenID Connect RP-Initiated Logout 1.0).
func (c *Console) logoutURL(ctx context.Context, r *http.Request, one tenancy.Session) *string {
	p := c.chosen(one.Provider)
	if p == nil {
		return nil
	}
	e, err := p.discover(ctx)
	if err != nil || e.signOut == "" {
		return nil
	}
	u, err := url.Parse(e.signOut)
	if err != nil {
		return nil
	}
	query := u.Query()
	query.Set("id_token_hint", one.ID)
	query.Set("client_id", p.ClientID)
	query.Set("post_logout_redirect_uri", c.base(r)+Path)
	u.RawQuery = query.Encode()
	s := u.String()
	return &s
}
