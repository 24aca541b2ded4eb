package sample

import "slices"

// Level says what a metric is about.
type Level string

const (
	Queue Level = "queue"
	Group Level = "group"
)

// Kind says how the values of a metric behave.
type Kind string

const (
	Gauge Kind = "gauge" // goes up and down
	Total Kind = "total" // only grows, over restarts too
)

// Metric is one figure. Its identifier is the one that the original service gave it where
// that had such a figure (namespace SYS.DMS of its monitoring).
type Metric struct {
	ID    string `json:"id"`
	Level Level  `json:"level"`
	Kind  Kind   `json:"kind"`
	Unit  string `json:"unit"` // count, bytes, seconds or boolean
	Help  string `json:"description"`
	// Prometheus is the name of the same figure on /metrics.
	Prometheus string `json:"-"`
}

// Missing is the value of a figure that is not known. It is never shown as zero.
const Missing = -1 << 63

// NeverDrains is the time to drain, in seconds, of a group that is not catching up: it
// stands above every threshold.
const NeverDrains = 30 * 24 * 3600

// Places of the metrics in a row. A stored row keeps its meaning, so these are only ever
// added to.
const (
	QueuedMessages = iota
	MessageSize
	RequestCount
	StoredBytes
	ProducedMessages
	SentBytes
	queueMetrics
)

const (
	AvailableMessages = iota
	InFlightMessages
	ConsumedMessages
	SkippedMessages
	DeadAvailable
	DeadEver
	DeliveredMessages
	FailedMessages
	OldestAge
	TimeToDrain
	GrowingUnattended
	groupMetrics
)

// Metrics returns all metrics of the level, in the order of a row's values.
func Metrics(level Level) []Metric {
	if level == Queue {
		return []Metric{
			{"queued_messages", Queue, Gauge, "count", "Messages the queue retains.", "dms_queue_messages"},
			{"message_size", Queue, Gauge, "bytes", "Bytes of messages sent in the last minute.", "dms_queue_message_size_bytes"},
			{"request_count", Queue, Gauge, "count", "Requests to send, consume and acknowledge in the last minute.", "dms_queue_request_count"},
			{"stored_bytes", Queue, Gauge, "bytes", "Bytes the queue's messages take, counted once and not per replica.", "dms_queue_stored_bytes"},
			{"produced_messages", Queue, Total, "count", "Messages ever stored in the queue.", "dms_queue_produced_messages_total"},
			{"sent_bytes", Queue, Total, "bytes", "Bytes of messages ever sent.", "dms_queue_sent_bytes_total"},
		}
	}
	return []Metric{
		{"available_messages", Group, Gauge, "count", "Messages the group has not settled, in flight or not; dead letters are not among them.", "dms_group_messages_available"},
		{"in_flight_messages", Group, Gauge, "count", "Messages handed out and not acknowledged yet.", "dms_group_messages_in_flight"},
		{"consumed_messages", Group, Total, "count", "Messages the group has settled, dead letters included.", "dms_group_consumed_messages_total"},
		{"skipped_messages", Group, Total, "count", "Messages that expired before the group settled them.", "dms_group_skipped_messages_total"},
		{"dead_avail_messages", Group, Gauge, "count", "Dead letters that nobody has acknowledged.", "dms_group_dead_letters"},
		{"dead_his_messages", Group, Total, "count", "Dead letters the group has ever made.", "dms_group_dead_letters_made_total"},
		{"delivered_messages", Group, Total, "count", "Messages handed to consumers, repetitions included.", "dms_group_delivered_messages_total"},
		{"failed_messages", Group, Total, "count", "Deliveries that consumers answered with fail.", "dms_group_failed_messages_total"},
		{"oldest_message_age", Group, Gauge, "seconds", "Age of the oldest message the group has not settled.", "dms_group_oldest_message_age_seconds"},
		{"time_to_drain", Group, Gauge, "seconds", "Time until nothing is left at the pace of the last minute; 2592000 if the backlog does not shrink.", "dms_group_time_to_drain_seconds"},
		{"growing_without_consumer", Group, Gauge, "boolean", "1 while messages arrive and nobody consumes.", "dms_group_growing_without_consumer"},
	}
}

// All returns the metrics of both levels.
func All() []Metric { return slices.Concat(Metrics(Queue), Metrics(Group)) }

// Find returns the metric with the identifier and its place in a row of its level.
func Find(id string) (m Metric, place int, ok bool) {
	for _, level := range []Level{Queue, Group} {
		for i, m := range Metrics(level) {
			if m.ID == id {
				return m, i, true
			}
		}
	}
	return Metric{}, 0, false
}
