package facade

import (
	"encoding/json"
	"strings"
	"testing"

	"dms/mapping/dms"

	"github.com/google/go-cmp/cmp"
)

func TestAckBodies(t *testing.T) {
	long := `{"message":[` + strings.Repeat(`{"handler":"h"},`, maxAcks)
	for name, c := range map[string]struct {
		body string
		want []dms.Ack
		code dms.Code
	}{
		"three entries": {
			`{"message":[{"handler":"H1==","status":"success"},{"status":"fail","handler":"H2"},{"handler":"H3"},{"handler":"H4","status":null}]}` + "\n",
			[]dms.Ack{{Handle: "H1==", Success: true}, {Handle: "H2"}, {Handle: "H3", Success: true}, {Handle: "H4", Success: true}}, "",
		},
		"none":                 {`{"message":[]}`, nil, ""},
		"nothing":              {``, nil, dms.BadMessageJSON},
		"not JSON":             {`{"message":[}`, nil, dms.BadMessageJSON},
		"two values":           {`{"message":[]} 1`, nil, dms.BadMessageJSON},
		"missing":              {`{}`, nil, dms.BadFields},
		"plural":               {`{"messages":[]}`, nil, dms.BadFields},
		"not an array":         {`{"message":{}}`, nil, dms.BadFields},
		"no handler":           {`{"message":[{"status":"fail"}]}`, nil, dms.BadFields},
		"empty handler":        {`{"message":[{"handler":""}]}`, nil, dms.BadFields},
		"null handler":         {`{"message":[{"handler":null}]}`, nil, dms.BadFields},
		"handler is a number":  {`{"message":[{"handler":1}]}`, nil, dms.BadFields},
		"handler twice":        {`{"message":[{"handler":"a","handler":"b"}]}`, nil, dms.BadFields},
		"status is a boolean":  {`{"message":[{"handler":"a","status":true}]}`, nil, dms.BadFields},
		"unknown member":       {`{"message":[{"handler":"a","group":"b"}]}`, nil, dms.BadFields},
		"status in capitals":   {`{"message":[{"handler":"a","status":"Success"}]}`, nil, dms.BadAckStatus},
		"status is empty":      {`{"message":[{"handler":"a","status":""}]}`, nil, dms.BadAckStatus},
		"as many as are taken": {strings.TrimSuffix(long, ",") + `]}`, slicesOf(dms.Ack{Handle: "h", Success: true}, maxAcks), ""},
		"more than are taken":  {long + `{"handler":"h"}]}`, nil, dms.BadRequest},
	} {
		got, err := parseAcks([]byte(c.body))
		if codeOf(err) != c.code || (err != nil && c.code == "") {
			t.Errorf("%s: error is %v, want code %q", name, err, c.code)
			continue
		}
		if diff := cmp.Diff(c.want, got); diff != "" && err == nil {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	_, err := parseAcks([]byte(`{"message":[{"handler":"a","status":"done"}]}`))
	if err == nil || !strings.Contains(err.Error(), `"done"`) {
		t.Errorf("the error does not repeat the bad status: %v", err)
	}
	_, err = parseAcks([]byte(`{"message":[{"handler":"a","status":"` + strings.Repeat("é", 10_000) + `"}]}`))
	if err == nil || len(err.Error()) > 300 {
		t.Errorf("the error repeats a long status in full, %d bytes", len(err.Error()))
	}
}

func slicesOf(a dms.Ack, n int) []dms.Ack {
	all := make([]dms.Ack, n)
	for i := range all {
		all[i] = a
	}
	return all
}

func FuzzParseAcks(f *testing.F) {
	f.Add([]byte(`{"message":[{"handler":"H1==","status":"success"},{"handler":"H2","status":"fail"},{"handler":"H\u0033"}]}`))
	f.Add([]byte(`{"message":[]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := parseAcks(body)
		if err != nil {
			if codeOf(err) == "" {
				t.Fatalf("an error without code: %v", err)
			}
			return
		}
		var want struct {
			Message []struct {
				Handler string `json:"handler"`
				Status  string `json:"status"`
			} `json:"message"`
		}
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatalf("taken, but %v", err)
		}
		if len(got) != len(want.Message) {
			t.Fatalf("%d entries, want %d", len(got), len(want.Message))
		}
		for i, entry := range got {
			w := want.Message[i]
			if string(entry.Handle) != w.Handler || entry.Success != (w.Status != "fail") {
				t.Fatalf("entry %+v, want %+v", entry, w)
			}
		}
	})
}
