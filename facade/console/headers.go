package console

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strconv"
)

// head sets what every answer has. Pages add a policy of their own.
func (c *Console) head(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	h.Set("Cache-Control", "no-store")
	if c.o.Secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// policy lets a page use the service itself and nothing else, and what carries the nonce
// of this one answer, which it returns. Component libraries insert style sheets at run
// time, which need it; nothing else does.
func policy(w http.ResponseWriter) (nonce string) {
	nonce = rand.Text()
	w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self' 'nonce-"+nonce+"'; style-src 'self' 'nonce-"+nonce+"'; "+
		"font-src 'self' data:; img-src 'self' data:; connect-src 'self'; manifest-src 'self'; "+
		"base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	return nonce
}

// answer answers with JSON.
func answer(w http.ResponseWriter, status int, kind string, v any) {
	body, err := json.Marshal(v)
	if err != nil { // of types that are all ours
		status, body = http.StatusInternalServerError, []byte("{}")
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	// A client that does not take the answer is no error of ours.
	_, _ = w.Write(body)
}

// problem answers with an error of RFC 9457; more are members of its own.
func (c *Console) problem(w http.ResponseWriter, status int, code, detail string, more map[string]any) {
	body := map[string]any{
		"type": "about:blank", "title": http.StatusText(status), "status": status,
		"detail": detail, "code": code, "request_id": w.Header().Get("X-Request-Id"),
	}
	for k, v := range more {
		body[k] = v
	}
	answer(w, status, "application/problem+json", body)
}
