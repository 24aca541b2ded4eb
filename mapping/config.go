package mapping

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"dms/mapping/dms"

	"github.com/nats-io/nats.go/jetstream"
)

// The configurations of everything the service creates in a project's account. They
// are pure and pinned by a golden file: a change is a change of what is on disk.

const (
	replicas     = 3
	dedupeWindow = 2 * time.Minute
	// maxStored bounds one stored message: the published 512 KiB plus the JSON
	// around body and attributes, labels and headers.
	maxStored = dms.MaxMessageSize + 64<<10
	// largestPayload leaves room in that for the headers of a delayed message.
	largestPayload = maxStored - 4<<10
	// engineAckWait is one second more than the default ack_wait, so that a handle
	// ends before the log offers the message again.
	engineAckWait = dms.DefaultAckWait + time.Second
	// moverAckWait is how late a due message may come when the node that was to move
	// it dies. Moving takes milliseconds, and what is moved twice is stored once.
	moverAckWait = 10 * time.Second
	// maxAckPending bounds what one group may hold unacknowledged. The log scans all
	// of it at every timeout, so it is no larger than it has to be.
	maxAckPending = 10_000
)

// Immutable attributes of a queue, kept in its stream's metadata.
const (
	metaName        = "dms.name"
	metaMode        = "dms.mode"
	metaDescription = "dms.description"
	metaMaxConsume  = "dms.max-consume-count"
	metaCreated     = "dms.created" // epoch milliseconds; the order of a listing
)

// stored is what all streams of the service have in common: three replicas on disk,
// messages of limited size, the oldest of which go first if anything must go.
func stored(name string, subjects ...string) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              name,
		Subjects:          subjects,
		Retention:         jetstream.LimitsPolicy,
		Storage:           jetstream.FileStorage,
		Replicas:          replicas,
		MaxMsgSize:        maxStored,
		MaxMsgs:           -1,
		MaxBytes:          -1,
		MaxMsgsPerSubject: -1,
		MaxConsumers:      -1,
		Discard:           jetstream.DiscardOld,
		Duplicates:        dedupeWindow,
		AllowDirect:       true,
	}
}

// queueStream holds the queue's messages and nothing else, so that sequences are
// contiguous but for expiry at the front.
func queueStream(id dms.QueueID, q dms.NewQueue, created time.Time) jetstream.StreamConfig {
	c := stored(streamName(id), queueSubjects(id), nameSubject(q.Name))
	c.MaxAge = dms.Retention
	c.AllowAtomicPublish = true
	c.Metadata = map[string]string{
		metaName:    q.Name,
		metaMode:    string(q.Mode),
		metaCreated: strconv.FormatInt(created.UnixMilli(), 10),
	}
	if q.Description != nil {
		c.Metadata[metaDescription] = *q.Description
	}
	if q.DeadLetters() {
		c.Metadata[metaMaxConsume] = strconv.Itoa(q.MaxConsumeCount)
	}
	if q.Mode == dms.FIFO {
		// Waiting polls hear of an arrival without asking.
		c.RePublish = &jetstream.RePublish{
			Source:      queueSubjects(id),
			Destination: wakeQueue + queueKey(id) + ".>",
			HeadersOnly: true,
		}
	}
	return c
}

// parseQueueStream is the inverse of queueStream.
func parseQueueStream(ref dms.QueueRef, c jetstream.StreamConfig) (dms.Queue, error) {
	created, err := strconv.ParseInt(c.Metadata[metaCreated], 10, 64)
	if err != nil {
		return dms.Queue{}, fmt.Errorf("stream %s: creation time: %w", c.Name, err)
	}
	q := dms.Queue{Ref: ref, Created: time.UnixMilli(created), Retention: c.MaxAge}
	q.Name = c.Metadata[metaName]
	q.Mode = dms.Mode(c.Metadata[metaMode])
	if d, ok := c.Metadata[metaDescription]; ok {
		q.Description = &d
	}
	if n, ok := c.Metadata[metaMaxConsume]; ok {
		if q.MaxConsumeCount, err = strconv.Atoi(n); err != nil {
			return dms.Queue{}, fmt.Errorf("stream %s: max consume count: %w", c.Name, err)
		}
	}
	return q, nil
}

// ctlConfig is the bucket of compare-and-set records. It has no age limit, since
// what it holds must outlive messages, and no direct reads, since a record read from
// a follower may be stale.
func ctlConfig() jetstream.StreamConfig {
	c := stored(ctlStream, ctlPrefix+">")
	c.MaxMsgSize = 0
	c.MaxMsgsPerSubject = 1
	c.Discard = jetstream.DiscardNew
	c.AllowDirect = false
	c.AllowRollup = true
	c.DenyDelete = true
	c.AllowMsgTTL = true
	c.RePublish = &jetstream.RePublish{Source: ctlPrefix + ">", Destination: wakeCtl + ">"}
	return c
}

// deadConfig holds the dead letters of all groups of a project, 72 h each.
func deadConfig() jetstream.StreamConfig {
	c := stored(deadStream, "dead.>")
	c.MaxAge = dms.Retention
	c.RePublish = &jetstream.RePublish{Source: "dead.>", Destination: wakeDead + ">", HeadersOnly: true}
	return c
}

// delayConfig holds messages until they become visible. It has no age limit: a delay
// may be longer than the retention, which starts when the message is visible.
func delayConfig() jetstream.StreamConfig {
	c := stored(delayStream, "dly.>", "due.>")
	c.AllowMsgTTL = true
	c.AllowMsgSchedules = true
	return c
}

// groupConsumer is the durable consumer of a group of a NORMAL queue.
func groupConsumer(at reading, start uint64, labels []string, match dms.Match) jetstream.ConsumerConfig {
	c := jetstream.ConsumerConfig{
		Durable:       at.consumer(),
		DeliverPolicy: jetstream.DeliverAllPolicy,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       engineAckWait,
		MaxDeliver:    -1,
		MaxAckPending: maxAckPending,
		ReplayPolicy:  jetstream.ReplayInstantPolicy,
		Replicas:      replicas,
	}
	if start > 1 {
		c.DeliverPolicy, c.OptStartSeq = jetstream.DeliverByStartSequencePolicy, start
	}
	switch filters := labelFilters(at.Queue, labels, match); len(filters) {
	case 0:
	case 1:
		c.FilterSubject = filters[0]
	default:
		c.FilterSubjects = filters
	}
	return c
}

// moverConsumer moves due messages into their queues.
func moverConsumer() jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable:       moverName,
		DeliverPolicy: jetstream.DeliverAllPolicy,
		FilterSubject: "due.>",
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       moverAckWait,
		MaxDeliver:    -1,
		MaxAckPending: 1000,
		ReplayPolicy:  jetstream.ReplayInstantPolicy,
		Replicas:      replicas,
	}
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("mapping: a request of our own cannot be encoded: " + err.Error())
	}
	return b
}
