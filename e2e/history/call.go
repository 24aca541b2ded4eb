package history

import (
	"fmt"
	"time"
)

// Op is what a call asked for.
type Op string

const (
	Send        Op = "send"
	Receive     Op = "receive"
	Ack         Op = "ack"
	DeadReceive Op = "dead_receive"
	DeadAck     Op = "dead_ack"
	CreateQueue Op = "create_queue"
	DeleteQueue Op = "delete_queue"
	CreateGroup Op = "create_group"
	DeleteGroup Op = "delete_group"
	Read        Op = "read" // lists, counters and everything else that changes nothing
)

// Result is what a client may conclude from an answer. The zero value is Unknown,
// because that is the safe conclusion.
type Result uint8

const (
	Unknown Result = iota // may have happened, or may happen yet
	OK                    // happened
	Fail                  // has not happened and never will
)

// ResultOf gives the only conclusion that an HTTP status allows: 2xx is OK, 4xx is
// Fail, and everything else is Unknown. Status 0 means that there was no whole answer.
func ResultOf(status int) Result {
	switch {
	case status >= 200 && status < 300:
		return OK
	case status >= 400 && status < 500:
		return Fail
	}
	return Unknown
}

func (r Result) String() string {
	switch r {
	case OK:
		return "ok"
	case Fail:
		return "fail"
	}
	return "unknown"
}

// MarshalText writes "ok", "fail" or "unknown".
func (r Result) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText accepts what MarshalText writes and nothing else.
func (r *Result) UnmarshalText(text []byte) error {
	switch string(text) {
	case "ok":
		*r = OK
	case "fail":
		*r = Fail
	case "unknown":
		*r = Unknown
	default:
		return fmt.Errorf("unknown result %q: want ok, fail or unknown", text)
	}
	return nil
}

// Misuse names what is wrong with a handle that a client acknowledges on purpose.
type Misuse string

const (
	UsedFailed    Misuse = "used_failed" // its delivery was acknowledged as failed before
	Expired       Misuse = "expired"
	ForeignGroup  Misuse = "foreign_group" // of another group of the same project
	ForeignQueue  Misuse = "foreign_queue"
	ForeignTenant Misuse = "foreign_tenant"
	WrongKind     Misuse = "wrong_kind" // a message's handle at the dead letters, or the other way
	Truncated     Misuse = "truncated"
	Flipped       Misuse = "flipped"   // one bit or character changed
	OtherKey      Misuse = "other_key" // sealed with a key the service does not have
)

// Call is one request and what the client saw of its answer. Start and End are
// monotonic times since the recorder was made, in nanoseconds when written.
type Call struct {
	ID     int64         `json:"id"`     // order of starts, from 1
	Client string        `json:"client"` // one sequential caller
	Node   string        `json:"node,omitempty"`
	Op     Op            `json:"op"`
	Tenant string        `json:"tenant"` // whose credentials were used
	Queue  string        `json:"queue,omitempty"`
	Group  string        `json:"group,omitempty"`
	Start  time.Duration `json:"start"`
	End    time.Duration `json:"end"`

	Status int    `json:"status"` // HTTP status; 0 when no whole answer came
	Code   string `json:"code,omitempty"`
	Result Result `json:"result"`

	AckWait time.Duration `json:"ack_wait,omitempty"` // asked for by a receive; 0 means 30 s
	Key     string        `json:"key,omitempty"`      // Idempotency-Key of a send
	// Text is what else the answer showed: names, counters, error texts. It is searched
	// for marks of other tenants.
	Text  string `json:"text,omitempty"`
	Items []Item `json:"items,omitempty"` // in the order of the request or of the answer
}

// Item is one message of a call. A receive has an item for each delivered message.
type Item struct {
	Body Body `json:"body,omitzero"` // sent or received; an acknowledgement needs none
	// Digest covers the body and the attributes as bytes; see DigestOf.
	Digest string `json:"digest,omitempty"`
	// Corrupt says why a delivered body could not be read.
	Corrupt string        `json:"corrupt,omitempty"`
	ID      string        `json:"id,omitempty"` // message id that a send was answered with
	Delay   time.Duration `json:"delay,omitempty"`
	// Handle is a hash of the handle, never the handle; see HandleID. An altered handle
	// is recorded under the hash of the genuine one, so that its message is known.
	Handle   string `json:"handle,omitempty"`
	Negative bool   `json:"negative,omitempty"` // the acknowledgement asked for status "fail"
	Misuse   Misuse `json:"misuse,omitempty"`   // why the acknowledgement must be refused
	// Result of an acknowledgement is OK when the answer counts the entry as a success,
	// and Fail when it counts it as failed or when the whole call was refused.
	Result Result `json:"result"`
}

// String identifies a call in a report.
func (c *Call) String() string {
	return fmt.Sprintf("#%d %s by %s at %s [%v, %v] %d %s",
		c.ID, c.Op, c.Client, c.Node, c.Start, c.End, c.Status, c.Result)
}
