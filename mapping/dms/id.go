package dms

import (
	"strings"

	"dms/tenancy"

	"github.com/google/uuid"
)

// QueueID is a random UUID in its 36-character lower-case form. Ids are never
// reused, so an id outlives its queue without meaning another one.
type QueueID string

// GroupID is "g-" followed by a random UUID in its 36-character lower-case form.
type GroupID string

// Handle is the opaque receipt by which one delivery is acknowledged.
type Handle string

// MessageID identifies a stored message; the producer may ask for it.
type MessageID string

// QueueRef names a queue of a project.
type QueueRef struct {
	Project tenancy.ProjectID
	Queue   QueueID
}

// GroupRef names a consumer group of a queue.
type GroupRef struct {
	QueueRef
	Group GroupID
}

// NewQueueID returns a fresh random id.
func NewQueueID() QueueID { return QueueID(uuid.NewString()) }

// NewGroupID returns a fresh random id.
func NewGroupID() GroupID { return GroupID("g-" + uuid.NewString()) }

// ParseQueueID refuses everything but the canonical form, with BadQueueID.
func ParseQueueID(s string) (QueueID, error) {
	if !canonicalUUID(s) {
		return "", Errorf(BadQueueID, "the queue ID is not a UUID of 36 lower-case characters")
	}
	return QueueID(s), nil
}

// ParseGroupID refuses everything but the canonical form, with BadGroupID.
func ParseGroupID(s string) (GroupID, error) {
	rest, ok := strings.CutPrefix(s, "g-")
	if !ok || !canonicalUUID(rest) {
		return "", Errorf(BadGroupID, `the group ID is not "g-" and a UUID of 36 lower-case characters`)
	}
	return GroupID(s), nil
}

func canonicalUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
			continue
		}
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
