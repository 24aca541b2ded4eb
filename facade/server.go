package facade

import (
	"log/slog"
	"net/http"
	"time"
)

const (
	headerTimeout  = 5 * time.Second
	readTimeout    = 30 * time.Second // headers and body
	writeTimeout   = 60 * time.Second // a default that every route sets anew
	idleTimeout    = 60 * time.Second
	maxHeaderBytes = 32 << 10
)

// NewServer returns a server with the limits that the API counts on: no connection
// can hold it by being slow. The caller listens, serves and shuts it down.
func NewServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
