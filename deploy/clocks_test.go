package deploy

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestAClockIsWrongWhenTwoOthersAgreeOnThat(t *testing.T) {
	const s, h = time.Second, time.Hour
	for name, c := range map[string]struct {
		ahead []time.Duration
		off   time.Duration
		known bool
	}{
		"nobody answers":             {nil, 0, false},
		"one other cannot tell":      {[]time.Duration{h}, 0, false},
		"all agree":                  {[]time.Duration{s, -s}, 0, true},
		"it is behind":               {[]time.Duration{h + s, h - s}, h, true},
		"it is ahead":                {[]time.Duration{-h, -h}, -h, true},
		"another one is wrong":       {[]time.Duration{0, h}, 0, true},
		"another one is behind":      {[]time.Duration{-h, s}, 0, true},
		"all differ":                 {[]time.Duration{h, 2 * h}, 0, false},
		"both differ, on both sides": {[]time.Duration{-h, h}, 0, false},
		"it is within the limit":     {[]time.Duration{5 * s, 6 * s}, 0, true},
	} {
		if off, known := judgeClock(c.ahead); off != c.off || known != c.known {
			t.Errorf("%s: got %v, %v, want %v, %v", name, off, known, c.off, c.known)
		}
	}
}

func TestANodeWithAWrongClockAnswersNoRequests(t *testing.T) {
	var n Node
	var api http.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	n.handler.Store(&api)
	ask := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		n.serveAPI(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v2/p/queues", nil))
		return w
	}
	if w := ask(); w.Code != http.StatusOK {
		t.Errorf("with a right clock it answers %d", w.Code)
	}
	for off, want := range map[time.Duration]string{5 * time.Minute: "5m0s behind", -time.Hour: "1h0m0s ahead"} {
		n.clock.off.Store(int64(off))
		w := ask()
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), want) {
			t.Errorf("with a wrong clock it answers %d %q, want 503 with %q", w.Code, w.Body, want)
		}
		if why := n.notReady(); !strings.Contains(why, want) {
			t.Errorf("not ready because %q, want %q", why, want)
		}
	}
}
