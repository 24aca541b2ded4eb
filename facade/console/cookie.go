package console

import (
	"net/http"
	"time"
)

// Names of cookies. With the prefix a browser takes them from this very host over TLS
// only, and no neighbour below the same domain can plant one.
const (
	hostOnly      = "__Host-"
	sessionCookie = "dms-session"
	signInCookie  = "dms-sign-in"
)

func (c *Console) cookieName(name string) string {
	if c.o.Secure {
		return hostOnly + name
	}
	return name
}

// setCookie sets a cookie that scripts cannot read; an empty value removes it.
func (c *Console) setCookie(w http.ResponseWriter, name, value string, life time.Duration, site http.SameSite) {
	k := &http.Cookie{
		Name: c.cookieName(name), Value: value, Path: "/", HttpOnly: true, Secure: c.o.Secure, SameSite: site,
		MaxAge: int(life / time.Second),
	}
	if value == "" {
		k.MaxAge = -1
	}
	http.SetCookie(w, k)
}

// cookie returns the value of the cookie, "" without one. Of two with one name, neither
// counts: somebody has planted one.
func (c *Console) cookie(r *http.Request, name string) string {
	found := r.CookiesNamed(c.cookieName(name))
	if len(found) != 1 {
		return ""
	}
	return found[0].Value
}
