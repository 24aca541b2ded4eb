package e2e

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// canned answers every call with the same.
type canned struct {
	status int
	header http.Header
	body   string
}

func (c canned) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: c.status, Header: c.header, Body: io.NopCloser(strings.NewReader(c.body))}, nil
}

// What the other tests rely on: an answer that is not as described does not pass.
func TestAnswersThatAreNotAsDescribedAreNoticed(t *testing.T) {
	t.Parallel()
	project := "/v2/" + service.Env.Projects[0].ID
	header := func(without ...string) http.Header {
		h := http.Header{"X-Request-Id": {"0123456789"}, "Content-Type": {"application/json"}}
		for _, name := range without {
			h.Del(name)
		}
		return h
	}
	const notFound = `{"error_code":"DMS.10240401","error_msg":"m","code":"10240401","message":"m","request_id":"0123456789"}`
	for name, tt := range map[string]struct {
		method, path string
		answer       canned
		ok           bool
	}{
		"as described":            {"GET", project + "/queues", canned{200, header(), `{"total":0,"queues":[]}`}, true},
		"error as described":      {"GET", project + "/queues/" + noQueue, canned{404, header(), notFound}, true},
		"error of an unknown URL": {"GET", "/nothing", canned{404, header(), notFound}, true},
		"no request ID":           {"GET", project + "/queues", canned{200, header("X-Request-Id"), `{"total":0,"queues":[]}`}, false},
		"member missing":          {"GET", project + "/queues", canned{200, header(), `{"total":0}`}, false},
		"member unknown":          {"GET", project + "/queues", canned{200, header(), `{"total":0,"queues":[],"x":1}`}, false},
		"status unknown":          {"GET", project + "/queues", canned{206, header(), `{"total":0,"queues":[]}`}, false},
		"operation unknown":       {"GET", project + "/secrets", canned{200, header(), `{}`}, false},
		"number in an error":      {"GET", "/nothing", canned{404, header(), strings.Replace(notFound, `"10240401"`, `10240401`, 1)}, false},
		"error of four strings":   {"GET", "/nothing", canned{404, header(), strings.Replace(notFound, `"message":"m",`, ``, 1)}, false},
		"error with other codes":  {"GET", "/nothing", canned{404, header(), strings.Replace(notFound, `"10240401"`, `"10240402"`, 1)}, false},
		"error of other request":  {"GET", "/nothing", canned{404, header(), strings.Replace(notFound, `"0123456789"`, `"9876543210"`, 1)}, false},
		"content where none is":   {"DELETE", project + "/queues/" + noQueue, canned{204, header(), `{}`}, false},
	} {
		c := NewClient("http://dms.test", "", Transport{Base: tt.answer, Description: description})
		if _, err := c.Do(t.Context(), tt.method, tt.path, ""); (err == nil) != tt.ok {
			t.Errorf("%s: %v, want it to pass: %t", name, err, tt.ok)
		}
	}
}

func TestEnvironmentFilesAreReadAsAShellWould(t *testing.T) {
	t.Parallel()
	whole, err := os.ReadFile(filepath.Join(filepath.Dir(service.Env.IDTokenFile), "dev.env"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "dev.env")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(strings.Replace(string(whole), "DMS_PROJECT_NAME="+service.Env.Projects[0].Name, `DMS_PROJECT_NAME='it'\''s $HOME'`, 1))
	env, err := ReadEnv(file)
	if err != nil || env.Projects[0].Name != "it's $HOME" || env.Projects[1] != service.Env.Projects[1] {
		t.Errorf("got %+v, %v", env, err)
	}
	write(strings.Replace(string(whole), "DMS_TOKEN2=", "DMS_TOKEN3=", 1))
	if _, err := ReadEnv(file); err == nil || !strings.Contains(err.Error(), "DMS_TOKEN2") {
		t.Errorf("without DMS_TOKEN2: %v", err)
	}
}
