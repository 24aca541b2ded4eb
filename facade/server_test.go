package facade_test

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"dms/facade"
)

func TestServersHaveLimits(t *testing.T) {
	s := facade.NewServer(http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	for name, limit := range map[string]time.Duration{
		"header": s.ReadHeaderTimeout, "read": s.ReadTimeout, "write": s.WriteTimeout, "idle": s.IdleTimeout,
	} {
		if limit <= 0 || limit > time.Minute {
			t.Errorf("the %s timeout is %v", name, limit)
		}
	}
	if s.MaxHeaderBytes != 32<<10 {
		t.Errorf("headers may have %d bytes", s.MaxHeaderBytes)
	}
}

// TestRequestsThatProxiesMightReadOtherwise sends requests whose end is in doubt, each
// with another request hidden behind it. None may be answered twice.
func TestRequestsThatProxiesMightReadOtherwise(t *testing.T) {
	const hidden = "GET /hidden-request HTTP/1.1\r\nHost: a\r\n\r\n"
	path := base + "/queues"
	for name, request := range map[string]string{
		"two lengths":        "POST " + path + " HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n",
		"signed length":      "POST " + path + " HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n\r\n",
		"unknown coding":     "POST " + path + " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
		"coding given twice": "POST " + path + " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
		"blank in name":      "POST " + path + " HTTP/1.1\r\nHost: a\r\nContent-Length : 0\r\n\r\n",
		"chunk of no size":   "POST " + path + " HTTP/1.1\r\nHost: a\r\nX-Auth-Token: manager\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"bare line feed":     "POST " + path + " HTTP/1.1\r\nHost: a\r\nX-Auth-Token: manager\r\nTransfer-Encoding: chunked\r\n\r\n0;x\n\r\n",
		"no host":            "GET " + path + " HTTP/1.1\r\n\r\n",
		"two hosts":          "GET " + path + " HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"long header":        "GET " + path + " HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, &fake{}, nil)
			conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, request+hidden); err != nil {
				t.Fatal(err)
			}
			// The server closes the connection, so that reading ends.
			answers, err := io.ReadAll(conn)
			if err != nil {
				t.Fatalf("after %q: %v", answers, err)
			}
			if n := strings.Count(string(answers), "HTTP/1.1 "); n != 1 || !strings.HasPrefix(string(answers), "HTTP/1.1 4") && !strings.HasPrefix(string(answers), "HTTP/1.1 5") {
				t.Errorf("%d answers: %.300q", n, answers)
			}
		})
	}
}
