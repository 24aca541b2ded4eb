package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// What a customer sends inside a body or attributes comes back byte for byte, however
// odd it looks: the service has no business to understand it.
func TestBodiesAndAttributesComeBackByteForByte(t *testing.T) {
	t.Parallel()
	c := newCustomer(t)
	for _, mode := range []string{"NORMAL", "FIFO"} {
		queue := c.queue(`,"queue_mode":"` + mode + `","redrive_policy":"enable","max_consume_count":1`)
		group := c.group(queue, "g")
		values := []string{
			`9007199254740993`,
			`1e400`,
			`-0.0`,
			`0.10000000000000000555111512312578270211815834045410156250`,
			`[1E+2, 1e-0002]`,
			`{"a":1,"a":2,"A":3,"":null}`,
			`{ "white" :	[ 1 ,` + "\r\n" + ` 2 ] }`,
			`"\ud83d\ude00 \u0000 \/ \" \\ é 世界 <b>&amp;"`,
			`"` + "\u2028\u2029\u007f\ufeff\uffff😀" + `"`,
			`"]}"`,
			`["tags",["a"]]`,
			`{"message":{"handler":"x"}}`,
			`false`,
			`0`,
			`""`,
			`{}`,
			strings.Repeat("[", 999) + strings.Repeat("]", 999),
		}
		var messages []string
		for _, v := range values {
			m := `{"body":` + v + `,"attributes":{ "v":` + v + `}}`
			if strings.HasPrefix(v, "[") { // and what ends like labels, with labels and without attributes
				m = `{"body":` + v + `,"tags":["t"]}`
			}
			messages = append(messages, m)
		}
		sent := make(map[string]string) // by body
		for i, m := range messages {
			sent[values[i]] = m
		}
		for part := range slices.Chunk(messages, 10) {
			c.send(queue, part...)
		}
		for range len(values) { // a FIFO group wants each to be settled
			d := c.receiveOne(groupPath(queue, group) + "/messages?time_wait=2&max_msgs=1")
			m, ok := sent[string(d.Message.Body)]
			if !ok {
				t.Fatalf("%s: the body %.200q was not sent, or came twice", mode, d.Message.Body)
			}
			delete(sent, string(d.Message.Body))
			var want struct{ Attributes json.RawMessage }
			if err := json.Unmarshal([]byte(m), &want); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(want.Attributes, d.Message.Attributes) {
				t.Errorf("%s: the attributes of %.100q came back as %.200q, want %.200q", mode, d.Message.Body, d.Message.Attributes, want.Attributes)
			}
			// It is the same among the dead letters.
			c.settle(groupPath(queue, group)+"/ack", "fail", d)
			dead := c.receiveOne(groupPath(queue, group) + "/deadletters?time_wait=20&max_msgs=1")
			if !bytes.Equal(dead.Message.Body, d.Message.Body) || !bytes.Equal(dead.Message.Attributes, d.Message.Attributes) {
				t.Errorf("%s: the dead letter is %.200q, want %.200q", mode, dead.Message, d.Message)
			}
			c.settle(groupPath(queue, group)+"/deadletters/ack", "success", dead)
		}
	}
}

// receiveOne waits for one delivery.
func (c customer) receiveOne(path string) delivery {
	c.t.Helper()
	return c.takeFrom(1, path)[0]
}

func TestEveryCharacterSurvives(t *testing.T) {
	t.Parallel()
	c := newCustomer(t)
	queue := c.queue(`,"queue_mode":"FIFO"`)
	group := c.group(queue, "g")
	var escaped, plain strings.Builder
	for r := rune(0); r <= 0xff; r++ {
		fmt.Fprintf(&escaped, `\u%04x`, r)
		switch {
		case r < 0x20: // has no other form
			fmt.Fprintf(&plain, `\u%04X`, r)
		case r == '"' || r == '\\':
			plain.WriteString(`\` + string(r))
		default:
			plain.WriteRune(r)
		}
	}
	var sent []string
	for _, text := range []string{escaped.String(), plain.String()} {
		sent = append(sent, `{"body":"`+text+`","attributes":{"`+text+`":"`+text+`"}}`)
	}
	c.send(queue, sent...)
	got := c.take(2, queue, group)
	for i, d := range got {
		var want struct{ Body, Attributes json.RawMessage }
		if err := json.Unmarshal([]byte(sent[i]), &want); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(d.Message.Body, want.Body) || !bytes.Equal(d.Message.Attributes, want.Attributes) {
			t.Errorf("message %d came back as %q with %q", i, d.Message.Body, d.Message.Attributes)
		}
		decoded := []rune(bodies(t, got[i:i+1])[0])
		for r := rune(0); r <= 0xff; r++ {
			if int(r) >= len(decoded) || decoded[r] != r {
				t.Fatalf("message %d: U+%04X is not in its place", i, r)
			}
		}
	}
}

func TestMessagesOfTheLargestSizePassAndNoLarger(t *testing.T) {
	t.Parallel()
	const most = 524288
	c := newCustomer(t)
	queue := c.queue("")
	group := c.group(queue, "g")
	text := func(size int) string { return `"` + strings.Repeat("x", size-2) + `"` }
	attributes := `{ "k" : "v" }` // 9 bytes without the white space
	for what, messages := range map[string]string{
		"one body":            `{"body":` + text(most) + `}`,
		"body and attributes": `{"body":` + text(most-9) + `,"attributes":` + attributes + `}`,
		"ten messages":        strings.Repeat(`{"body":`+text(most/16)+`,"tags":["label"]},`, 9) + `{"body":` + text(most-9*(most/16)) + `}`,
		"white space beside":  `{"body":  [` + strings.Repeat(" ", 1000) + text(most-2) + `  ]}`,
	} {
		if a := c.call("POST", "/queues/"+queue+"/messages", `{"messages":[`+messages+`]}`); a.Status != http.StatusCreated {
			t.Errorf("%s of %d bytes: %v", what, most, a)
		}
	}
	for what, messages := range map[string]string{
		"one body":            `{"body":` + text(most+1) + `}`,
		"body and attributes": `{"body":` + text(most-8) + `,"attributes":` + attributes + `}`,
		"ten messages":        strings.Repeat(`{"body":`+text(most/16)+`},`, 9) + `{"body":` + text(most+1-9*(most/16)) + `}`,
	} {
		a := c.refused(400, "DMS.10540011", "POST", "/queues/"+queue+"/messages", `{"messages":[`+messages+`]}`)
		if !bytes.Contains(a.Body, []byte("524289")) || !bytes.Contains(a.Body, []byte("524288")) {
			t.Errorf("%s of one byte too many: the answer does not tell the size and the limit: %v", what, a)
		}
	}
	// A far too large request is refused as well, not cut off.
	c.refused(400, "DMS.10540011", "POST", "/queues/"+queue+"/messages", `{"messages":[{"body":`+text(4<<20)+`}]}`)

	// What was accepted comes out; no answer holds more than one largest message.
	sizes, sum := 0, 0
	waitFor(t, func() (bool, string) {
		batch := c.consume(queue, group, "time_wait=2&max_msgs=10")
		payload := 0
		for _, d := range batch {
			payload += len(d.Message.Body)
		}
		if len(batch) > 1 && payload > most+2000 {
			t.Errorf("one answer holds %d messages of %d bytes", len(batch), payload)
		}
		sizes, sum = sizes+len(batch), sum+payload
		if len(batch) > 0 {
			c.settle(groupPath(queue, group)+"/ack", "success", batch...)
		}
		return sizes == 13, fmt.Sprintf("%d messages of %d bytes came", sizes, sum)
	})
	if want := 4*most - 9 + 1000 + 2; sum < want || sum > want+4 {
		t.Errorf("the bodies have %d bytes together, want %d", sum, want)
	}
}
