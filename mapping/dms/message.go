package dms

import "time"

// Published limits of sending and consuming.
const (
	MaxBatch       = 10
	MaxLabels      = 3
	MaxDelay       = 7 * 24 * time.Hour
	DefaultMax     = 10
	DefaultWait    = 3 * time.Second
	DefaultAckWait = 30 * time.Second
	maxLabelLen    = 64
)

// Message is one message to send.
type Message struct {
	// Payload is the JSON object that consuming returns as "message": body,
	// attributes and tags, the values byte for byte as they were sent. If there are
	// labels, they are the object's last member, written compactly.
	Payload []byte
	Labels  []string      // at most 3, each 1 to 64 letters, digits, "-" and "_"
	Delay   time.Duration // 0 to 7 days; the message is invisible until it has passed
	Trace   string        // W3C traceparent of the send, kept beside the payload; "" unless it is sampled
}

// ValidateLabel checks one label of a message or of a filter.
func ValidateLabel(s string) error {
	if n := len(s); n < 1 || n > maxLabelLen {
		return Errorf(BadLabel, "a tag must have 1 to 64 characters")
	}
	if !plainName(s) {
		return Errorf(BadLabel, "a tag may hold only letters, digits, hyphens and underscores")
	}
	return nil
}

// Send is one request to store messages.
type Send struct {
	Messages []Message // 1 to 10
	// Key makes the request repeatable: the same key and place give the same
	// message id, and a message is stored once within two minutes. Empty means none.
	Key string
}

// Sent is the outcome for one message of a request.
type Sent struct {
	ID  MessageID
	Err error // a *Error; nil when the message is on disk on a quorum of replicas
}

// Kind tells the two stores a group reads.
type Kind uint8

const (
	Live  Kind = iota + 1 // the queue's messages
	Dead                  // the group's dead letters
	Again                 // dead letters given back to the group; consumed with the queue's messages
)

// Match is how a label filter combines its labels.
type Match uint8

const (
	AnyLabel  Match = iota // at least one label of the filter is on the message
	AllLabels              // every label of the filter is on the message
)

// Receive is one request to consume.
type Receive struct {
	Kind    Kind
	Max     int           // 1 to 10
	Wait    time.Duration // how long to wait for the first message, 1 to 60 s
	AckWait time.Duration // how long the caller may take to acknowledge, 15 to 300 s
	Labels  []string      // at most 3; empty means no filter
	Match   Match
	Meta    bool // tell of each delivery what is known of its message
	// Until ends the wait early when it is closed; what does not exist is still refused.
	Until <-chan struct{}
}

// Delivery is one message handed to a consumer.
type Delivery struct {
	Payload []byte // as stored; see Message.Payload
	Handle  Handle
	Trace   string // see Message.Trace
	Meta    *Meta  // nil unless asked for
}

// Meta is what is known of a message that is handed out.
type Meta struct {
	ID       MessageID
	Sequence uint64    // its place in the store it was read from
	Sent     time.Time // when it became visible, or dead
	// Deliveries is how often it was offered to the group, this time included. On NORMAL
	// queues that counts deliveries which found nobody waiting any more.
	Deliveries int
	First      time.Time // when it was first handed out; zero if that is not on record
}

// Batch is what one consume request got, in the order it must be acknowledged.
// The consumer calls Return when it could not pass the deliveries on: they then go
// back to the queue at once and are not counted as failures.
type Batch struct {
	Deliveries []Delivery
	Return     func()
}

// Ack is one entry of an acknowledgement.
type Ack struct {
	Handle  Handle
	Success bool
	// Delay is how long a failed message stays hidden, 0 to MaxHold; the messages behind
	// it return at once, on a FIFO queue with it. Reason is why it failed, kept with its
	// dead letter, at most MaxReason characters. Both are for failures only.
	Delay  time.Duration
	Reason string
}

// Limits of holding a message back and of holding on to it.
const (
	MaxHold   = 12 * time.Hour
	MaxReason = 256
)

// Extend asks for more time to acknowledge a delivery.
type Extend struct {
	Handle  Handle
	AckWait time.Duration // from now; at least 15 s, and MaxHold from the first handing out
}
