package facade

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"dms/mapping/dms"

	"github.com/google/go-cmp/cmp"
)

func TestSendBodiesAreAssembledVerbatim(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		want sendRequest
	}{
		"both spellings of clients": {
			`{"return_id":true,"messages":[{"body":"hello <b>&","attributes":{"a":"v","n":1},"tags":["t1","t2"],"delay_time":6000.9},{"body":{"foo":"test02"}}]}` + "\n",
			sendRequest{returnIDs: true, messages: []dms.Message{
				{Payload: []byte(`{"body":"hello <b>&","attributes":{"a":"v","n":1},"tags":["t1","t2"]}`), Labels: []string{"t1", "t2"}, Delay: 6 * time.Second},
				{Payload: []byte(`{"body":{"foo":"test02"}}`)},
			}},
		},
		"old spellings": {
			`{"messages":[{"delayTime":604800000,"body":1}],"returnId":true}`,
			sendRequest{returnIDs: true, messages: []dms.Message{{Payload: []byte(`{"body":1}`), Delay: dms.MaxDelay}}},
		},
		"nulls are absent": {
			`{"return_id":null,"messages":[{"body":false,"attributes":null,"tags":null,"delay_time":null}]}`,
			sendRequest{messages: []dms.Message{{Payload: []byte(`{"body":false}`)}}},
		},
		"numbers, repeated members and white space are kept": {
			`{"messages":[{"attributes": {"a" : 1, "a":2} ,"body":[ 9007199254740993, 1e400 ,{"x":1,"x":1,"X":-0}, "\ud800" ]}]}`,
			sendRequest{messages: []dms.Message{{Payload: []byte(`{"body":[ 9007199254740993, 1e400 ,{"x":1,"x":1,"X":-0}, "\ud800" ],"attributes":{"a" : 1, "a":2}}`)}}},
		},
		"labels count once": {
			`{"messages":[{"body":0,"tags":["b","a","b","c","a"]}]}`,
			sendRequest{messages: []dms.Message{{Payload: []byte(`{"body":0,"tags":["b","a","c"]}`), Labels: []string{"b", "a", "c"}}}},
		},
		"no labels": {
			`{"messages":[{"body":"","tags":[],"delay_time":-0.5,"attributes":{}}]}`,
			sendRequest{messages: []dms.Message{{Payload: []byte(`{"body":"","attributes":{}}`)}}},
		},
	} {
		got, err := parseSend([]byte(c.body))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(sendRequest{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestSendBodiesAreRefused(t *testing.T) {
	one := func(member string) string { return `{"messages":[{"body":1,` + member + `}]}` }
	many := func(n int) string {
		return `{"messages":[` + strings.TrimSuffix(strings.Repeat(`{"body":1},`, n), ",") + `]}`
	}
	for body, want := range map[string]dms.Code{
		``:                                     dms.BadMessageJSON,
		`{`:                                    dms.BadMessageJSON,
		`{"messages":[{"body":nope}]}`:         dms.BadMessageJSON,
		`{"messages":[{"body":1}]}{}`:          dms.BadMessageJSON,
		"\xef\xbb\xbf" + many(1):               dms.BadMessageJSON,
		"{\"messages\":[{\"body\":\"\xff\"}]}": dms.BadMessageJSON,
		`{"messages":[{"body":` + strings.Repeat("[", 1001) + strings.Repeat("]", 1001) + `}]}`:                      dms.BadMessageJSON,
		`{"messages":[{"body":1,"attributes":{"a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}}]}`: dms.BadMessageJSON,
		`[]`:                                 dms.BadFields,
		`{}`:                                 dms.BadFields,
		`{"messages":null}`:                  dms.BadFields,
		`{"messages":{}}`:                    dms.BadFields,
		`{"messages":[1]}`:                   dms.BadFields,
		`{"messages":[{}]}`:                  dms.BadFields,
		`{"messages":[{"body":null}]}`:       dms.BadFields,
		`{"message":[{"body":1}]}`:           dms.BadFields,
		`{"Messages":[{"body":1}]}`:          dms.BadFields,
		`{"messages":[{"body":1,"body":2}]}`: dms.BadFields,
		`{"messages":[{"Body":1}]}`:          dms.BadFields,
		`{"messages":[{"body":1}],"messages":[{"body":1}]}`:          dms.BadFields,
		`{"messages":[{"body":1}],"return_id":"true"}`:               dms.BadFields,
		`{"messages":[{"body":1}],"return_id":true,"returnId":true}`: dms.BadFields,
		one(`"id":"x"`):                     dms.BadFields,
		one(`"attributes":[]`):              dms.BadFields,
		one(`"attributes":"a"`):             dms.BadFields,
		one(`"tags":"a"`):                   dms.BadFields,
		one(`"tags":[1]`):                   dms.BadFields,
		one(`"delay_time":"1"`):             dms.BadFields,
		one(`"delay_time":1,"delayTime":1`): dms.BadFields,
		one(`"delay_time":-1`):              dms.BadRequest,
		one(`"delay_time":604800001`):       dms.BadRequest,
		one(`"delay_time":1e400`):           dms.BadRequest,
		one(`"delay_time":-1e400`):          dms.BadRequest,
		many(0):                             dms.BadRequest,
		many(11):                            dms.BadRequest,
		one(`"tags":[""]`):                  dms.BadLabel,
		one(`"tags":["a b"]`):               dms.BadLabel,
		one(`"tags":["é"]`):                 dms.BadLabel,
		one(`"tags":["` + strings.Repeat("x", 65) + `"]`): dms.BadLabel,
		one(`"tags":["a","b","c","d"]`):                   dms.BadLabel,
	} {
		_, err := parseSend([]byte(body))
		if codeOf(err) != want {
			t.Errorf("%.100s: error is %v, want %s", body, err, want)
		}
	}
	if _, err := parseSend([]byte(many(10))); err != nil {
		t.Errorf("10 messages are refused: %v", err)
	}
	deep := `{"messages":[{"body":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}]}`
	if _, err := parseSend([]byte(deep)); err != nil {
		t.Errorf("a body of depth 1000 is refused: %v", err)
	}
}

func codeOf(err error) dms.Code {
	if e, ok := errors.AsType[*dms.Error](err); ok {
		return e.Code
	}
	return ""
}

func TestSizeOfASendIsBoundedToTheByte(t *testing.T) {
	// Two bodies and one object of attributes; white space between tokens is free.
	body := func(size int) string {
		second := `{"k": "v"}` // 9 bytes without the blank
		first := size - len(`""`) - 9 - len(`1`)
		return fmt.Sprintf(`{"messages":[{"body": "%s"},  {"attributes":%s , "body":1}]}`, strings.Repeat("é", first/2)+strings.Repeat("x", first%2), second)
	}
	if _, err := parseSend([]byte(body(dms.MaxMessageSize))); err != nil {
		t.Errorf("the largest send is refused: %v", err)
	}
	_, err := parseSend([]byte(body(dms.MaxMessageSize + 1)))
	if codeOf(err) != dms.MessageTooBig {
		t.Fatalf("one byte more: error is %v", err)
	}
	for _, part := range []string{"524289", "524288"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not tell the size %s: %v", part, err)
		}
	}
}

// FuzzParseSend checks that whatever is taken leads to payloads that are what was
// sent, as far as the standard library can tell.
func FuzzParseSend(f *testing.F) {
	f.Add([]byte(`{"return_id":true,"messages":[{"body":"x","attributes":{"a":1},"tags":["t1"],"delay_time":6000.9},{"body":{"foo":[]}}]}`))
	f.Add([]byte(`{"messages":[{"delayTime":1e3,"tags":["a","a"],"body":" \ud800"}],"returnId":false}`))
	f.Add([]byte(`{"messages":[{"body":1,"attributes":{"tags":["a"]}}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		req, err := parseSend(body)
		if err != nil {
			if codeOf(err) == "" {
				t.Fatalf("an error without code: %v", err)
			}
			return
		}
		var want struct {
			Messages []struct {
				Body       json.RawMessage `json:"body"`
				Attributes json.RawMessage `json:"attributes"`
				Tags       []string        `json:"tags"`
			} `json:"messages"`
		}
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatalf("taken, but %v", err)
		}
		if len(want.Messages) != len(req.messages) || len(req.messages) < 1 || len(req.messages) > dms.MaxBatch {
			t.Fatalf("%d messages, want %d", len(req.messages), len(want.Messages))
		}
		for i, m := range req.messages {
			var got map[string]json.RawMessage
			if err := json.Unmarshal(m.Payload, &got); err != nil {
				t.Fatalf("payload %q: %v", m.Payload, err)
			}
			sent := want.Messages[i]
			if string(sent.Attributes) == "null" {
				sent.Attributes = nil
			}
			if !bytes.Equal(got["body"], sent.Body) || !bytes.Equal(got["attributes"], sent.Attributes) {
				t.Fatalf("payload %q of %q", m.Payload, body)
			}
			if m.Delay < 0 || m.Delay > dms.MaxDelay || len(m.Labels) > dms.MaxLabels || len(m.Labels) > len(sent.Tags) {
				t.Fatalf("message %+v", m)
			}
			if bare := withoutLabels(m.Payload); !bytes.Equal(bare, payload(sent.Body, sent.Attributes, nil)) {
				t.Fatalf("payload %q without labels is %q", m.Payload, bare)
			}
		}
	})
}

func BenchmarkParseSend(b *testing.B) {
	message := `{"body":{"order":4711,"note":"` + strings.Repeat("some text ", 90) + `"},"attributes":{"source":"shop"},"tags":["new","eu"]}`
	body := []byte(`{"return_id":true,"messages":[` + strings.TrimSuffix(strings.Repeat(message+",", 10), ",") + `]}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseSend(body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendDeliveries(b *testing.B) {
	deliveries := make([]dms.Delivery, 10)
	for i := range deliveries {
		deliveries[i] = dms.Delivery{Payload: []byte(`{"body":"` + strings.Repeat("x", 1000) + `","tags":["a"]}`), Handle: dms.Handle(strings.Repeat("h", 200))}
	}
	b.ReportAllocs()
	for b.Loop() {
		appendDeliveries(deliveries, withoutLabels)
	}
}
