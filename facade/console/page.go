package console

import (
	"bytes"
	_ "embed"
	"html/template"
	"log/slog"
	"net/http"
	"strconv"
)

//go:embed pages/message.html
var messagePage string

// message is a page for whom the application cannot talk to: it was not built, or
// somebody is on the way to or from a provider.
type message struct {
	Title, Text, Hint string
	Again             string // URL that tries again, "" without one
}

func (c *Console) show(w http.ResponseWriter, status int, m message) {
	nonce := policy(w)
	page, err := template.New("message").Parse(messagePage)
	var b bytes.Buffer
	if err == nil {
		err = page.Execute(&b, struct {
			message
			Nonce, RequestID string
		}{m, nonce, w.Header().Get("X-Request-Id")})
	}
	if err != nil {
		c.o.Log.Error("a page cannot be made", slog.Any("err", err))
		b.Reset()
		b.WriteString("<!doctype html><title>Error</title>The page cannot be made.")
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // a client that does not take it is no error of ours
}
