package facade_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode"
)

// TestTheLogIsNeitherForgedNorTalkative sends line breaks, escape sequences and JSON in
// every place where a caller can put text, and canaries where secrets are.
func TestTheLogIsNeitherForgedNorTalkative(t *testing.T) {
	s := serve(t, stocked(), nil)
	const forged = `{"level":"ERROR","msg":"forged"}`
	nasty := []string{
		"a\r\n" + forged, "a\n" + forged, "\x1b[2J\x1b[31mred", "\x1b]0;title\x07", `","level":"ERROR","msg":"forged`, forged,
		"a\x00b", "a\u2028b", "a\u0085b", "\u202ereversed", strings.Repeat("long", 5000), "%0d%0a" + forged, "<script>alert(1)</script>",
		"${jndi:ldap://x}", "a\tb", "a\x7fb", "\xff\xfe",
	}
	const canary = "canary-4c5d1f"
	secrets := 0
	secret := func() string { secrets++; return fmt.Sprintf("%s-%d", canary, secrets) }
	calls := 0
	for _, n := range nasty {
		// In headers only what HTTP lets through.
		header := strings.Map(func(r rune) rune {
			if r < ' ' && r != '\t' || r == 0x7f {
				return '?'
			}
			return r
		}, n)
		if len(header) > 2000 {
			header = header[:2000]
		}
		for _, c := range []struct {
			method, path, body string
			headers            []string
		}{
			{"POST", base + "/queues", `{"name":` + quoted(n) + `}`, nil},
			{"POST", queuePath + "/groups", `{"groups":[{"name":` + quoted(n) + `}]}`, nil},
			{"POST", queuePath + "/messages", `{"messages":[{"body":` + quoted(secret()+n) + `}]}`, nil},
			{"POST", queuePath + "/messages", `{"messages":[{"body":1,"attributes":{"a":` + quoted(secret()+n) + `}},` + quoted(secret()) + `]}`, nil},
			{"POST", queuePath + "/messages", `{"` + secret() + `":1}`, nil},
			{"POST", groupPath + "/ack", `{"message":[{"handler":` + quoted(secret()+n) + `}]}`, nil},
			{"POST", tagsPath, `{"tag":{"key":` + quoted(n) + `}}`, nil},
			{"GET", base + "/queues/" + url.PathEscape(n), "", nil},
			{"GET", "/" + url.PathEscape(n), "", nil},
			{"GET", base + "/queues?include_deadletter=" + url.QueryEscape(n), "", nil},
			{"GET", base + "/audit?cursor=" + url.QueryEscape(n) + "&actor=" + url.QueryEscape(n), "", nil},
			{"GET", base + "/queues", "", []string{"X-Auth-Token", secret() + header}},
			{"GET", base + "/queues", "", []string{"X-Auth-Token", "", "Authorization", "Bearer " + secret() + header}},
			{"GET", base + "/queues", "", []string{"X-Auth-Token", "", "Authorization", "SDK-HMAC-SHA256 Access=a, Signature=" + secret() + header}},
			{"GET", base + "/queues", "", []string{"X-Request-Id", header}},
			{"GET", base + "/queues", "", []string{"X-Project-Id", header}},
			{"GET", base + "/queues", "", []string{"X-Forwarded-For", header}},
			{"GET", base + "/queues", "", []string{"User-Agent", header}},
			{"POST", queuePath + "/messages", `{"messages":[{"body":1}]}`, []string{"Idempotency-Key", secret() + header}},
			{"POST", base + "/queues", `{"name":"q"}`, []string{"Content-Encoding", header}},
			{"POST", "/v3.0/OS-AUTH/id-token/tokens", `{"auth":{"id_token":{"id":` + quoted(secret()) + `}}}`, []string{"X-Idp-Id", header}},
		} {
			s.raw(c.method, c.path, c.body, c.headers...)
			calls++
		}
	}
	if calls < 200 || secrets < 100 {
		t.Fatalf("only %d calls with %d secrets", calls, secrets)
	}
	// Lines are written after the answers; the server itself refuses a request or two.
	eventually(t, func() (string, bool) {
		n := strings.Count(s.log.String(), "\n")
		return fmt.Sprintf("%d lines of %d calls", n, calls), n >= calls-5
	})
	text := s.log.String()
	if strings.Contains(text, canary) {
		at := strings.Index(text, canary)
		t.Errorf("the log tells a secret: …%.200s…", text[max(0, at-150):])
	}
	for scan := bufio.NewScanner(strings.NewReader(text)); scan.Scan(); {
		line := scan.Text()
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Errorf("a line that is no entry: %.300s", line)
			continue
		}
		if entry["msg"] == "forged" {
			t.Errorf("a forged entry: %.300s", line)
		}
		if at := strings.IndexFunc(line, func(r rune) bool { return unicode.IsControl(r) || r == 0x2028 || r == 0x202e }); at >= 0 {
			t.Errorf("a control character in the log: %.300q", line)
		}
		if len(line) > 2000 {
			t.Errorf("a line of %d bytes: %.300s", len(line), line)
		}
	}
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return string(b)
}

// raw sends a request whose answer does not matter.
func (s *service) raw(method, path, body string, headers ...string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.server.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	setHeaders(req, "manager", headers)
	res, err := s.plain.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	res.Body.Close()
}
