package openapitest

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

type canned struct {
	status int
	header http.Header
	body   string
}

func (c canned) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: c.status, Header: c.header, Body: io.NopCloser(strings.NewReader(c.body))}, nil
}

func TestAnswersThatDifferFromTheDescriptionFail(t *testing.T) {
	const (
		project = "/v2/0123456789abcdef0123456789abcdef"
		queue   = project + "/queues/9bf46390-38a2-462d-b392-4d5b2d519c55"
		good    = `{"id":"9bf46390-38a2-462d-b392-4d5b2d519c55","name":"q"}`
	)
	header := func(pairs ...string) http.Header {
		h := http.Header{"X-Request-Id": {"0123456789"}, "Content-Type": {"application/json"}}
		for i := 0; i < len(pairs); i += 2 {
			h.Set(pairs[i], pairs[i+1])
		}
		return h
	}
	for name, c := range map[string]struct {
		method, path string
		answer       canned
		ok           bool
	}{
		"as described":            {"POST", project + "/queues", canned{201, header(), good}, true},
		"as described below v1":   {"POST", strings.Replace(project, "v2", "v1", 1) + "/queues", canned{201, header(), good}, true},
		"empty consume":           {"GET", queue + "/groups/g-9bf46390-38a2-462d-b392-4d5b2d519c55/messages", canned{200, header(), `[]`}, true},
		"no content":              {"DELETE", queue, canned{204, header(), ""}, true},
		"content where none is":   {"DELETE", queue, canned{204, header(), "{}"}, false},
		"other status":            {"POST", project + "/queues", canned{200, header(), good}, false},
		"unknown URL":             {"GET", "/v2/nothing/here/at/all", canned{200, header(), good}, false},
		"unknown method":          {"PUT", project + "/queues", canned{201, header(), good}, false},
		"other content type":      {"POST", project + "/queues", canned{201, header("Content-Type", "text/html"), good}, false},
		"no request ID":           {"POST", project + "/queues", canned{201, http.Header{"Content-Type": {"application/json"}}, good}, false},
		"member missing":          {"POST", project + "/queues", canned{201, header(), `{"name":"q"}`}, false},
		"member too many":         {"POST", project + "/queues", canned{201, header(), `{"id":"9bf46390-38a2-462d-b392-4d5b2d519c55","name":"q","x":1}`}, false},
		"number in an error":      {"GET", queue, canned{404, header(), `{"error_code":"DMS.10240401","error_msg":"m","code":10240401,"message":"m","request_id":"0123456789"}`}, false},
		"error as described":      {"GET", queue, canned{404, header(), `{"error_code":"DMS.10240401","error_msg":"m","code":"10240401","message":"m","request_id":"0123456789"}`}, true},
		"503 without Retry-After": {"GET", queue, canned{503, header(), `{"error_code":"DMS.10250005","error_msg":"m","code":"10250005","message":"m","request_id":"0123456789"}`}, false},
	} {
		t.Run(name, func(t *testing.T) {
			transport, err := NewTransport(c.answer)
			if err != nil {
				t.Fatal(err)
			}
			req, err := http.NewRequestWithContext(t.Context(), c.method, "http://dms.test"+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := transport.RoundTrip(req)
			if (err == nil) != c.ok {
				t.Fatalf("error %v, want none: %v", err, c.ok)
			}
			if err != nil {
				return
			}
			body, err := io.ReadAll(res.Body)
			if err != nil || string(body) != c.answer.body {
				t.Errorf("the body is %q (%v), want %q", body, err, c.answer.body)
			}
		})
	}
}
