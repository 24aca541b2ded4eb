package console

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"dms/tenancy"
)

const (
	// refreshBefore is how long before their end tokens are renewed, and refreshFor how
	// long one node keeps the others from doing so.
	refreshBefore = 2 * time.Minute
	refreshFor    = 20 * time.Second
	refreshPoll   = 200 * time.Millisecond
)

// Caller returns who has signed in with the session that the request's cookie names, and
// false if it has no such cookie. The error wraps tenancy.ErrExpired if the session is
// over, tenancy.ErrUnavailable if that cannot be known now, and tenancy.ErrUnauthenticated
// otherwise. Whether the request came from this site is for the caller to check.
func (c *Console) Caller(r *http.Request) (tenancy.Identity, bool, error) {
	secret := c.cookie(r, sessionCookie)
	if secret == "" {
		return tenancy.Identity{}, false, nil
	}
	_, id, err := c.find(r.Context(), secret)
	if err != nil {
		return tenancy.Identity{}, true, err
	}
	return id, true, nil
}

// Presented reports whether the request has a cookie of a session, good or bad.
func (c *Console) Presented(r *http.Request) bool { return c.cookie(r, sessionCookie) != "" }

// UsedBy notes that a person has done something with the session of the request, which
// keeps it from ending.
func (c *Console) UsedBy(r *http.Request) {
	// A page that only stays open does nothing.
	if strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		return
	}
	secret := c.cookie(r, sessionCookie)
	if one, err := c.o.Sessions.Find(r.Context(), secret); err == nil {
		c.o.Sessions.Use(r.Context(), secret, one)
	}
}

// find returns the session and whose it is, with tokens that have not ended.
func (c *Console) find(ctx context.Context, secret string) (tenancy.Session, tenancy.Identity, error) {
	one, err := c.o.Sessions.Find(ctx, secret)
	if err == nil {
		one, err = c.renewed(ctx, secret, one)
	}
	if errors.Is(err, tenancy.ErrNoSession) {
		err = fmt.Errorf("%w: %w", tenancy.ErrExpired, err)
	}
	if err != nil {
		return tenancy.Session{}, tenancy.Identity{}, err
	}
	id, _, err := c.verify(ctx, one)
	return one, id, err
}

// verify asks who the session's tokens make its owner.
func (c *Console) verify(ctx context.Context, one tenancy.Session) (tenancy.Identity, time.Time, error) {
	if one.ByID {
		return c.o.Tokens.VerifyIDToken(ctx, one.Provider, one.ID)
	}
	return c.o.Tokens.VerifyToken(ctx, one.Access)
}

// judge finds out which of the tokens says who the caller is. An access token is meant to;
// those of some providers are for the provider alone.
func (c *Console) judge(ctx context.Context, one tenancy.Session) (tenancy.Session, tenancy.Identity, error) {
	one.ByID = false
	id, end, err := c.verify(ctx, one)
	if errors.Is(err, tenancy.ErrUnauthenticated) && one.ID != "" {
		one.ByID = true
		var second error
		if id, end, second = c.verify(ctx, one); second != nil {
			return one, id, fmt.Errorf("access token: %w; ID token: %w", err, second)
		}
		err = nil
	}
	one.Expires = end
	return one, id, err
}

// renewed renews the tokens of a session whose end is near. Refresh tokens are often good
// for one use, so that of all nodes one does it and the others go on with what there is.
func (c *Console) renewed(ctx context.Context, secret string, one tenancy.Session) (tenancy.Session, error) {
	for {
		now := c.o.Now()
		left := one.Expires.Sub(now)
		switch {
		case left > refreshBefore, one.Refresh == "" && left > 0:
			return one, nil
		case one.Refresh == "":
			return one, fmt.Errorf("%w at %s, and there is nothing to renew it with", tenancy.ErrExpired, one.Expires.Format(time.RFC3339))
		case now.Before(one.Refreshing) && left > 0:
			return one, nil // somebody is about to
		case now.Before(one.Refreshing):
			tick := time.NewTimer(refreshPoll)
			select {
			case <-ctx.Done():
				tick.Stop()
				return one, fmt.Errorf("%w: the session is being renewed", tenancy.ErrUnavailable)
			case <-tick.C:
			}
		default:
			mine, err := c.o.Sessions.Change(ctx, secret, func(there tenancy.Session) (tenancy.Session, error) {
				if there.Refresh != one.Refresh || c.o.Now().Before(there.Refreshing) {
					return there, errOthers
				}
				there.Refreshing = c.o.Now().Add(refreshFor).UTC()
				return there, nil
			})
			if err == nil {
				return c.renew(ctx, secret, mine)
			}
			if !errors.Is(err, errOthers) {
				if left > 0 && !errors.Is(err, tenancy.ErrNoSession) {
					return one, nil
				}
				return one, err
			}
		}
		var err error
		if one, err = c.look(ctx, secret); err != nil {
			return one, err
		}
	}
}

var (
	errOthers = errors.New("another node renews the session")
	errLook   = errors.New("only looked")
)

// look reads the session as it is now, whatever was remembered of it.
func (c *Console) look(ctx context.Context, secret string) (one tenancy.Session, err error) {
	_, err = c.o.Sessions.Change(ctx, secret, func(there tenancy.Session) (tenancy.Session, error) {
		one = there
		return there, errLook
	})
	if errors.Is(err, errLook) {
		err = nil
	}
	return one, err
}

// renew spends the refresh token and stores what it brings.
func (c *Console) renew(ctx context.Context, secret string, one tenancy.Session) (tenancy.Session, error) {
	p := c.chosen(one.Provider)
	if p == nil {
		return one, fmt.Errorf("%w: its identity provider is gone", tenancy.ErrExpired)
	}
	// Whoever goes away now must not leave a spent token behind.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refreshFor-time.Second)
	defer cancel()
	spent := one.Refresh
	token, err := p.refresh(ctx, spent)
	var next tenancy.Session
	if err == nil {
		next = one
		next.Access = token.AccessToken
		if token.RefreshToken != "" {
			next.Refresh = token.RefreshToken
		}
		if id := idToken(token); id != "" {
			next.ID = id
		}
		next, _, err = c.judge(ctx, next)
	}
	switch {
	case errors.Is(err, errRefused), errors.Is(err, tenancy.ErrUnauthenticated):
		c.o.Log.LogAttrs(ctx, slog.LevelInfo, "a session ends: its tokens were not renewed", slog.Any("err", err))
		if one.Expires.After(c.o.Now()) {
			// They are good for a little longer; nobody shall try again.
			return c.o.Sessions.Change(ctx, secret, func(there tenancy.Session) (tenancy.Session, error) {
				there.Refresh, there.Refreshing = "", time.Time{}
				return there, nil
			})
		}
		if stopped := c.o.Sessions.Stop(ctx, secret); stopped != nil {
			err = errors.Join(err, stopped)
		}
		return one, fmt.Errorf("%w: %w", tenancy.ErrExpired, err)
	case err != nil:
		if one.Expires.After(c.o.Now()) {
			return one, nil // the provider may be back before they end
		}
		return one, fmt.Errorf("%w: %w", tenancy.ErrUnavailable, err)
	}
	return c.o.Sessions.Change(ctx, secret, func(there tenancy.Session) (tenancy.Session, error) {
		there.Access, there.ID, there.Refresh = next.Access, next.ID, next.Refresh
		there.ByID, there.Expires, there.Refreshing = next.ByID, next.Expires, time.Time{}
		return there, nil
	})
}
