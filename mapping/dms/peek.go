package dms

import "time"

// Published limits of looking at messages.
const (
	MaxPeek     = 200 // messages of one page
	DefaultPeek = 100
	// MaxSearchText bounds the text, the filter and each attribute of a search, in bytes.
	MaxSearchText = 1024
	// MaxSearchAttributes is how many attributes one search may ask for.
	MaxSearchAttributes = 10
)

// Source is where to look for messages.
type Source string

const (
	InQueue   Source = "queue"        // everything the queue retains
	InBacklog Source = "backlog"      // what a group has not settled: waiting and in flight
	InFlight  Source = "in_flight"    // what a group has been handed and has not settled
	InDead    Source = "dead_letters" // dead letters of a group, or of all groups
	InDelay   Source = "delayed"      // messages that are not visible yet
)

// NeedsGroup reports whether the source is that of one group.
func (s Source) NeedsGroup() bool { return s == InBacklog || s == InFlight }

// Search says which messages are wanted; the zero value wants all. Everything that is
// given must hold.
type Search struct {
	Labels     []string    // each of them is on the message
	Attributes []Attribute // each of them is on the message
	Text       string      // the body holds it, whatever the case of its letters
	Filter     string      // a CEL expression that is true
}

// Attribute is a user attribute and its value. A value that is not a JSON string is
// written as JSON.
type Attribute struct{ Name, Value string }

// Empty reports whether everything is wanted.
func (s Search) Empty() bool {
	return len(s.Labels) == 0 && len(s.Attributes) == 0 && s.Text == "" && s.Filter == ""
}

// Validate checks all but the filter, which is checked when it is compiled.
func (s Search) Validate() error {
	if len(s.Labels) > MaxLabels {
		return Errorf(BadParameters, "at most %d labels may be searched for", MaxLabels)
	}
	for _, l := range s.Labels {
		if err := ValidateLabel(l); err != nil {
			return err
		}
	}
	if len(s.Attributes) > MaxSearchAttributes {
		return Errorf(BadParameters, "at most %d attributes may be searched for", MaxSearchAttributes)
	}
	for _, a := range s.Attributes {
		if a.Name == "" || len(a.Name)+len(a.Value) > MaxSearchText {
			return Errorf(BadParameters, "an attribute must have a name, and at most %d bytes with its value", MaxSearchText)
		}
	}
	if len(s.Text) > MaxSearchText {
		return Errorf(BadParameters, "the text must have at most %d bytes", MaxSearchText)
	}
	if len(s.Filter) > MaxSearchText {
		return Errorf(BadParameters, "the filter must have at most %d bytes", MaxSearchText)
	}
	return nil
}

// Peek is one request to look at messages. It changes nothing: no counter, no order, no
// delivery.
type Peek struct {
	Source Source
	Group  GroupID // "" unless the source is that of a group
	Newest bool    // newest first
	// FromSequence and FromTime say where to begin; zero means at the end of the store
	// that Newest names. Only one may be given.
	FromSequence uint64
	FromTime     time.Time
	Limit        int    // 1 to MaxPeek
	Cursor       string // of an earlier page of the same request; "" begins
	Search       Search
}

// Validate checks everything that needs no look-up.
func (p Peek) Validate() error {
	switch p.Source {
	case InQueue, InDelay:
		if p.Group != "" {
			return Errorf(BadParameters, "group_id cannot be given for the source %s", p.Source)
		}
	case InBacklog, InFlight:
		if p.Group == "" {
			return Errorf(BadParameters, "group_id must be given for the source %s", p.Source)
		}
	case InDead:
	default:
		return Errorf(BadParameters, "source must be queue, backlog, in_flight, dead_letters or delayed")
	}
	if p.Limit < 1 || p.Limit > MaxPeek {
		return Errorf(BadParameters, "limit must be 1 to %d", MaxPeek)
	}
	if p.FromSequence > 0 && !p.FromTime.IsZero() {
		return Errorf(BadParameters, "from_sequence and from_time cannot be given together")
	}
	return p.Search.Validate()
}

// Page is what a peek found. A page may hold fewer messages than asked for although there
// are more: looking is bounded in messages, bytes and time. Then Next says so.
type Page struct {
	Messages []Peeked
	Next     string // cursor of the following page; "" when there is nothing more
	Scanned  int    // messages looked at
}

// State is what has become of a message for one group.
type State string

const (
	Waiting   State = "waiting"      // it has not been handed out
	Leased    State = "in_flight"    // it is handed out, or on its way back
	Delivered State = "delivered"    // it is in flight, or settled while an earlier one is in flight
	Settled   State = "acked"        // it has been acknowledged
	Skipped   State = "skipped"      // the group was positioned behind it
	Buried    State = "dead"         // it became a dead letter of the group
	Unwanted  State = "not_selected" // its labels are not those the group reads
)

// Peeked is one message that was looked at.
type Peeked struct {
	// Sequence is its place in the store that was looked at: the queue's, or for dead
	// letters and delayed messages the project's. Places ascend and are never reused.
	Sequence uint64
	ID       MessageID // "" for dead letters of earlier versions, which did not keep it
	Sent     time.Time // when it became visible, or dead, or was sent with a delay
	Payload  []byte    // see Message.Payload
	Labels   []string
	State    State     // for the sources of a group
	Until    time.Time // of a message in flight, when it is offered again, if that is known
	Due      time.Time // of a delayed message
	Dead     *DeadLetter
}

// DeadLetter is what is known of a dead letter beside its message.
type DeadLetter struct {
	Group      GroupID
	Sequence   uint64 // the place that the message had in its queue
	Deliveries int    // how often it failed; 0 if that is not known
	Reason     string // of the last failure, as the consumer gave it
}

// History is one message with what has become of it for every group.
type History struct {
	Message Peeked
	Groups  []GroupHistory
}

// GroupHistory is what has become of a message for one group.
type GroupHistory struct {
	Group  GroupID
	Name   string
	State  State
	Until  time.Time // when it is in flight and that is known
	Dead   *DeadLetter
	Failed int // failed deliveries on record
}
