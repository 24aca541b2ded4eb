package mapping

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"dms/mapping/dms"
)

// Every name and subject of the log is made in this file. Tenants' names never
// become part of one, but for message labels, whose characters are checked.

const (
	ctlStream   = "KV_ctl" // compare-and-set records of a project; the name makes it a KV bucket
	ctlPrefix   = "$KV.ctl."
	deadStream  = "dead"
	delayStream = "delay"
	auditStream = "audit" // kept by tenancy/audit/trail, and no part of the quota
	moverName   = "mover"
	queuePrefix = "q_"
	noLabel     = "~"
	// queuePrefixSubject is used by the streams of all queues and no others.
	queuePrefixSubject = "q.*.>"
	maxLabelSets       = 1000
	wakeCtl            = "wake.ctl."
	wakeQueue          = "wake.q."
	wakeDead           = "wake.dead."
	ackPrefix          = "$JS.ACK."
	pullPrefix         = "$JS.API.CONSUMER.MSG.NEXT."
	directPrefix       = "$JS.API.DIRECT.GET."
	msgGetPrefix       = "$JS.API.STREAM.MSG.GET."
	msgDeletePrefix    = "$JS.API.STREAM.MSG.DELETE."
	purgePrefix        = "$JS.API.STREAM.PURGE."
	infoPrefix         = "$JS.API.STREAM.INFO."
	stepDownPrefix     = "$JS.API.STREAM.LEADER.STEPDOWN."
	accountInfo        = "$JS.API.INFO"
	headerID           = "Dms-Id"     // message id of a delayed or dead message
	headerSubject      = "Dms-Target" // where a delayed message goes when it is due
	// headerTrace is the trace that the message was sent in, as the W3C writes it. Most
	// messages have none.
	headerTrace    = "traceparent"
	headerReason   = "Dms-Reason" // of a dead letter, why it failed last, escaped as in a URL
	headerFailures = "Dms-Failures"
	headerOrigin   = "Dms-Origin" // of a dead letter, the time its message was stored
)

// queueKey is the queue id without hyphens: 32 hexadecimal digits.
func queueKey(id dms.QueueID) string { return strings.ReplaceAll(string(id), "-", "") }

// groupKey is the group id without prefix and hyphens: 32 hexadecimal digits.
func groupKey(id dms.GroupID) string {
	return strings.ReplaceAll(strings.TrimPrefix(string(id), "g-"), "-", "")
}

func hyphenate(key string) string {
	return key[:8] + "-" + key[8:12] + "-" + key[12:16] + "-" + key[16:20] + "-" + key[20:]
}

func streamName(id dms.QueueID) string { return queuePrefix + queueKey(id) }

// LogName is the name of a queue's log, as in LogFigures.
func LogName(id dms.QueueID) string { return streamName(id) }

// parseStreamName is the inverse of streamName; other streams give false.
func parseStreamName(s string) (dms.QueueID, bool) {
	key, ok := strings.CutPrefix(s, queuePrefix)
	if !ok || len(key) != 32 {
		return "", false
	}
	id, err := dms.ParseQueueID(hyphenate(key))
	return id, err == nil
}

// reading is a group between two moves of its position. A move ends all that was handed
// out before it, so that what belongs to one reading is nothing to the next: consumers,
// records of failures and dead letters have it in their names, but for the first.
type reading struct {
	dms.GroupRef
	gen uint32 // moves so far
}

func consumerName(id dms.GroupID, gen uint32) string {
	return consumerPrefix(id) + generation("_", gen)
}

// parseConsumerName is the inverse of consumerName; other consumers give false.
func parseConsumerName(s string) (id dms.GroupID, gen uint32, ok bool) {
	key, found := strings.CutPrefix(s, "g_")
	if !found || len(key) < 32 {
		return "", 0, false
	}
	if rest := key[32:]; rest != "" {
		n, err := strconv.ParseUint(strings.TrimPrefix(rest, "_"), 10, 32)
		if err != nil || n == 0 || rest[0] != '_' {
			return "", 0, false
		}
		gen = uint32(n)
	}
	id, err := dms.ParseGroupID("g-" + hyphenate(key[:32]))
	return id, gen, err == nil
}

func consumerPrefix(id dms.GroupID) string { return "g_" + groupKey(id) }

func generation(mark string, gen uint32) string {
	if gen == 0 {
		return ""
	}
	return mark + strconv.FormatUint(uint64(gen), 10)
}

func (r reading) consumer() string { return consumerName(r.Group, r.gen) }

// nameSubject belongs to the stream of the queue with this name, and no one publishes
// to it: two streams may not share a subject, so two queues cannot share a name,
// whichever nodes create them at the same moment.
func nameSubject(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "n." + hex.EncodeToString(sum[:16])
}

func queueSubjects(id dms.QueueID) string { return "q." + queueKey(id) + ".>" }

// messageSubject carries a message's labels: sorted, each once, filled up with "~".
// Distinct sets of labels give distinct subjects.
func messageSubject(id dms.QueueID, labels []string) string {
	sorted := slices.Compact(slices.Sorted(slices.Values(labels)))
	for len(sorted) < dms.MaxLabels {
		sorted = append(sorted, noLabel)
	}
	return "q." + queueKey(id) + "." + strings.Join(sorted, ".")
}

// queueOfSubject is the queue a message subject belongs to.
func queueOfSubject(subject string) (dms.QueueID, bool) {
	tokens := strings.Split(subject, ".")
	if len(tokens) != 2+dms.MaxLabels || tokens[0] != "q" || len(tokens[1]) != 32 {
		return "", false
	}
	id, err := dms.ParseQueueID(hyphenate(tokens[1]))
	return id, err == nil
}

// subjectLabels is the inverse of messageSubject, as far as labels go.
func subjectLabels(subject string) []string {
	tokens := strings.Split(subject, ".")
	if len(tokens) != 2+dms.MaxLabels {
		return nil
	}
	var labels []string
	for _, t := range tokens[2:] {
		if t != noLabel {
			labels = append(labels, t)
		}
	}
	return labels
}

// labelFilters are the subjects a group with these labels reads, disjoint or not:
// the log delivers a message once even when several match. No labels, no filter.
func labelFilters(id dms.QueueID, labels []string, match dms.Match) []string {
	if len(labels) == 0 {
		return nil
	}
	sorted := slices.Compact(slices.Sorted(slices.Values(labels)))
	if match == dms.AllLabels {
		return allOf(id, sorted)
	}
	var filters []string
	for _, l := range sorted {
		filters = append(filters, allOf(id, []string{l})...)
	}
	return filters
}

// allOf gives one subject for every way the sorted labels can stand, in order, in
// the three places. The subjects are disjoint.
func allOf(id dms.QueueID, sorted []string) []string {
	var filters []string
	places := make([]string, dms.MaxLabels)
	var put func(place, next int)
	put = func(place, next int) {
		if dms.MaxLabels-place < len(sorted)-next {
			return
		}
		if place == dms.MaxLabels {
			filters = append(filters, "q."+queueKey(id)+"."+strings.Join(places, "."))
			return
		}
		if next < len(sorted) {
			places[place] = sorted[next]
			put(place+1, next+1)
		}
		places[place] = "*"
		put(place+1, next)
	}
	put(0, 0)
	return filters
}

// matchesLabels reports whether a message with these labels passes the filter.
func matchesLabels(filter []string, match dms.Match, labels []string) bool {
	if len(filter) == 0 {
		return true
	}
	for _, f := range filter {
		has := slices.Contains(labels, f)
		if has && match == dms.AnyLabel {
			return true
		}
		if !has && match == dms.AllLabels {
			return false
		}
	}
	return match == dms.AllLabels
}

// Keys of the control bucket.

func recordKey(id dms.QueueID) string { return "queue." + queueKey(id) }

func cursorKey(ref dms.GroupRef, kind dms.Kind) string {
	store := "cursor."
	switch kind {
	case dms.Dead:
		store = "deadcursor."
	case dms.Again:
		store = "againcursor."
	}
	return store + queueKey(ref.Queue) + "." + groupKey(ref.Group)
}

// failedKey holds which deliveries of a batch were answered "fail".
func failedKey(ref dms.GroupRef, batch string) string {
	return "failed." + queueKey(ref.Queue) + "." + groupKey(ref.Group) + "." + batch
}

// tallyKey holds which deliveries of a message count as failures.
func tallyKey(at reading, seq uint64) string {
	return "tally." + queueKey(at.Queue) + "." + groupKey(at.Group) + "." + strconv.FormatUint(seq, 10) + generation("-", at.gen)
}

// queueCtlKeys match every record of the queue.
func queueCtlKeys(id dms.QueueID) []string {
	k := queueKey(id)
	return []string{"queue." + k, "cursor." + k + ".*", "deadcursor." + k + ".*", "againcursor." + k + ".*", "failed." + k + ".*.*", "tally." + k + ".*.*"}
}

// groupCtlKeys match every record of the group, its place in the queue's apart.
func groupCtlKeys(ref dms.GroupRef) []string {
	k := queueKey(ref.Queue) + "." + groupKey(ref.Group)
	return []string{"cursor." + k, "deadcursor." + k, "againcursor." + k, "failed." + k + ".*", "tally." + k + ".*"}
}

// Subjects of dead and delayed messages.

// deadSubject is written once: a message dies once for a group, unless its position is
// moved back and the message dies again.
func deadSubject(at reading, seq uint64) string {
	return deadFilterPrefix(at.GroupRef) + strconv.FormatUint(seq, 10) + generation("-", at.gen)
}

// parseDeadSubject is the inverse of deadSubject, but for the project. Dead letters of
// messages that had been dead before have a text after a second hyphen.
func parseDeadSubject(subject string) (group dms.GroupID, seq uint64, ok bool) {
	tokens := strings.Split(subject, ".")
	if len(tokens) != 4 || tokens[0] != "dead" || len(tokens[2]) != 32 {
		return "", 0, false
	}
	number, _, _ := strings.Cut(tokens[3], "-")
	seq, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return "", 0, false
	}
	id, err := dms.ParseGroupID("g-" + hyphenate(tokens[2]))
	return id, seq, err == nil
}

func deadFilter(ref dms.GroupRef) string { return deadFilterPrefix(ref) + "*" }

func deadFilterPrefix(ref dms.GroupRef) string {
	return "dead." + queueKey(ref.Queue) + "." + groupKey(ref.Group) + "."
}

func deadQueueFilter(id dms.QueueID) string { return "dead." + queueKey(id) + ".>" }

// delaySubject is where a message waits until it is due.
func delaySubject(id dms.QueueID, msg dms.MessageID, due time.Time) string {
	return strings.TrimSuffix(delaySlot(due), ">") + queueKey(id) + "." + string(msg)
}

// delaySlot matches what is due within the slotLength that the time lies in.
func delaySlot(due time.Time) string {
	within := due.Sub(due.Truncate(slotHour))
	return strings.TrimSuffix(delayHour(due), ">") + strconv.Itoa(int(within/slotLength)) + ".>"
}

// delayHour matches what is due within the hour that the time lies in.
func delayHour(due time.Time) string {
	return "dly." + strconv.FormatInt(due.Unix()/int64(slotHour/time.Second), 10) + ".>"
}

// delayFilter matches what waits for the queue.
func delayFilter(id dms.QueueID) string { return "dly.*.*." + queueKey(id) + ".>" }

func dueFilter(id dms.QueueID) string { return "due." + queueKey(id) + ".>" }

func dueSubject(id dms.QueueID, msg dms.MessageID) string {
	return "due." + queueKey(id) + "." + string(msg)
}

// ackSubject settles or returns one delivery. The log reads the stream sequence of
// an acknowledgement, and the consumer sequence too of a negative one.
func ackSubject(stream, consumer string, deliveries, streamSeq, consumerSeq uint64) string {
	b := make([]byte, 0, 160)
	b = append(b, ackPrefix...)
	b = append(b, stream...)
	b = append(b, '.')
	b = append(b, consumer...)
	for _, n := range [...]uint64{deliveries, streamSeq, consumerSeq, 0, 0} {
		b = append(b, '.')
		b = strconv.AppendUint(b, n, 10)
	}
	return string(b)
}

// delivered is what the log says of a delivery in the subject to acknowledge it on.
type delivered struct {
	deliveries  uint64 // 1 for the first
	streamSeq   uint64
	consumerSeq uint64
	sent        time.Time // when the message was stored
}

// parseDelivered reads both forms of the subject: 9 tokens, or 11 and more with the
// domain and account hash in front of the stream's name.
func parseDelivered(subject string) (delivered, bool) {
	_, _, tokens, ok := ackTokens(subject)
	if !ok {
		return delivered{}, false
	}
	var n [4]uint64
	for i := range n {
		v, err := strconv.ParseUint(tokens[i], 10, 64)
		if err != nil {
			return delivered{}, false
		}
		n[i] = v
	}
	return delivered{deliveries: n[0], streamSeq: n[1], consumerSeq: n[2], sent: time.Unix(0, int64(n[3]))}, true
}

// consumerOf is the "stream.consumer" that delivered a message with this subject to
// acknowledge it on.
func consumerOf(subject string) (string, bool) {
	stream, consumer, _, ok := ackTokens(subject)
	return stream + "." + consumer, ok
}

func ackTokens(subject string) (stream, consumer string, rest []string, ok bool) {
	if !strings.HasPrefix(subject, ackPrefix) {
		return "", "", nil, false
	}
	tokens := strings.Split(subject[len(ackPrefix):], ".")
	switch {
	case len(tokens) == 7:
	case len(tokens) >= 9:
		tokens = tokens[2:]
	default:
		return "", "", nil, false
	}
	return tokens[0], tokens[1], tokens[2:], true
}
