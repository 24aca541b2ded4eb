package dms

import (
	"strings"
	"time"
	"unicode/utf8"
)

// Mode is a queue's ordering.
type Mode string

const (
	Normal Mode = "NORMAL" // best-effort order, parallel consumers inside a group
	FIFO   Mode = "FIFO"   // strict order, one batch outstanding per group
)

// Published limits of queues.
const (
	Retention      = 72 * time.Hour // how long a message is kept, counted from its visibility
	MaxMessageSize = 524288         // bytes of one send and of one delivered batch
	maxNameLen     = 64
	maxGroupName   = 32
	maxDescription = 160
	maxConsume     = 100
)

// NewQueue is what a tenant chooses when it creates a queue. All of it is immutable.
type NewQueue struct {
	Name        string
	Description *string // nil when never given, which callers can tell from ""
	Mode        Mode
	// MaxConsumeCount is how often a group may fail a message before it becomes a
	// dead letter, 1 to 100; 0 means that the queue has no dead letters.
	MaxConsumeCount int
}

// DeadLetters reports whether messages are given up after MaxConsumeCount failures.
func (q NewQueue) DeadLetters() bool { return q.MaxConsumeCount > 0 }

// Validate checks every rule that needs no look-up.
func (q NewQueue) Validate() error {
	if n := len(q.Name); n < 1 || n > maxNameLen {
		return Errorf(BadQueueName, "the queue name must have 1 to 64 characters")
	}
	if !plainName(q.Name) {
		return Errorf(BadNameChars, "the name may hold only letters, digits, hyphens and underscores")
	}
	if q.Mode != Normal && q.Mode != FIFO {
		return Errorf(BadManageBody, "queue_mode must be NORMAL or FIFO")
	}
	if q.Description != nil {
		if utf8.RuneCountInString(*q.Description) > maxDescription {
			return Errorf(BadDescription, "the description must have at most 160 characters")
		}
		if strings.ContainsAny(*q.Description, "<>") {
			return Errorf(BadDescChars, "the description must not contain < or >")
		}
	}
	if q.MaxConsumeCount < 0 || q.MaxConsumeCount > maxConsume {
		return Errorf(BadMaxConsume, "max_consume_count must be 1 to 100")
	}
	return nil
}

// Queue is an existing queue.
type Queue struct {
	NewQueue
	Ref      QueueRef
	Created  time.Time
	Messages int64 // retained messages, delayed ones not counted
	Groups   int   // consumer groups
}

// Group is an existing consumer group. The counters are zero unless asked for.
type Group struct {
	Ref  GroupRef
	Name string
	Counters
}

// Counters of one group. At rest, when no delivery is outstanding, they are exact.
type Counters struct {
	Produced       int64 // retained messages of the queue
	Consumed       int64 // retained messages the group has settled, dead letters included
	Available      int64 // retained messages the group has not settled
	DeadProduced   int64 // dead letters the group has made
	DeadAvailable  int64 // dead letters not yet acknowledged
	OutstandingNow int64 // of Available, those handed out or on their way back at this moment
}

// ValidateGroupName checks a group's name: 1 to 32 letters, digits, "-" and "_".
func ValidateGroupName(name string) error {
	if n := len(name); n < 1 || n > maxGroupName {
		return Errorf(BadGroupName, "the group name must have 1 to 32 characters")
	}
	if !plainName(name) {
		return Errorf(BadNameChars, "the name may hold only letters, digits, hyphens and underscores")
	}
	return nil
}

func plainName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// GroupView says which counters a listing of groups shall carry.
type GroupView struct {
	Counters    bool // Produced, Consumed, Available
	DeadLetters bool // DeadProduced, DeadAvailable
}
