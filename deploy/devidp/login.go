package devidp

import (
	"bytes"
	"context"
	_ "embed"
	"html/template"
	"log/slog"
	"net/http"
)

//go:embed login.html
var loginPage string

// login asks for name and password between op's redirect to us and our redirect back.
type login struct {
	store *store
	log   *slog.Logger
	path  string // of the issuer
	hint  string
	back  func(ctx context.Context, request string) string
}

func (l login) show(w http.ResponseWriter, r *http.Request) {
	l.render(w, r, http.StatusOK, r.FormValue("request"), "")
}

func (l login) check(w http.ResponseWriter, r *http.Request) {
	id, name := r.PostFormValue("request"), r.PostFormValue("username")
	if err := l.store.signIn(id, name, r.PostFormValue("password")); err != nil {
		l.log.LogAttrs(r.Context(), slog.LevelInfo, "sign-in refused", slog.Any("error", err))
		l.render(w, r, http.StatusUnauthorized, id, err.Error())
		return
	}
	http.Redirect(w, r, l.back(r.Context(), id), http.StatusSeeOther)
}

func (l login) render(w http.ResponseWriter, r *http.Request, status int, id, message string) {
	page, err := template.New("login").Parse(loginPage)
	var b bytes.Buffer
	if err == nil {
		err = page.Execute(&b, struct{ Action, Request, Message, Hint string }{l.path + "/login", id, message, l.hint})
	}
	if err != nil {
		l.log.LogAttrs(r.Context(), slog.LevelError, "sign-in page cannot be made", slog.Any("error", err))
		http.Error(w, "sign-in page cannot be made", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// The client may be gone; there is nobody else to tell.
	_, _ = b.WriteTo(w)
}
