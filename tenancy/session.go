package tenancy

import (
	"errors"
	"log/slog"
	"time"
)

// ErrNoSession means that there is no such session: it never was, or it has ended.
var ErrNoSession = errors.New("no such session")

// Session is somebody who has signed in to the console. The tokens never leave the
// service.
type Session struct {
	Provider string // the identity provider's id in this service
	Access   string // access token
	ID       string // ID token
	Refresh  string // "" if the provider gave none
	// ByID means that the ID token says who the caller is: the access token is for the
	// provider itself and means nothing here.
	ByID    bool
	Expires time.Time // of the token that says who the caller is
	Started time.Time
	Used    time.Time // when something was last done with it, to about a minute
	// Refreshing is until when a node may be about to renew the tokens, so that no other
	// node spends the same refresh token.
	Refreshing time.Time
}

// LogValue keeps the tokens out of logs.
func (s Session) LogValue() slog.Value {
	return slog.GroupValue(slog.String("provider", s.Provider), slog.Time("started", s.Started))
}

// String keeps the tokens out of texts.
func (s Session) String() string { return "session of " + s.Provider }

// GoString keeps the tokens out of texts.
func (s Session) GoString() string { return s.String() }
