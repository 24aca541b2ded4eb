package mapping

import (
	"context"
	"encoding/json"
	"sync"

	"dms/mapping/dms"
)

// labelSets are the distinct sets of labels known to be in a queue. Each is a subject
// of its stream, and the log's memory grows with them, so their number is bounded.
type labelSets struct {
	mu    sync.Mutex
	known map[string]struct{}
}

// labelsOf reads the labels out of a payload.
func labelsOf(payload []byte) []string {
	var m struct {
		Tags []string `json:"tags"`
	}
	if json.Unmarshal(payload, &m) != nil {
		return nil // stored by no send of ours
	}
	return m.Tags
}

// checkLabels refuses a set of labels the queue has not seen when it has seen the
// most it may. Sends at the same moment through other nodes may pass it by a few.
func (s *session) checkLabels(ctx context.Context, q *queue, labels []string) error {
	if len(labels) == 0 {
		return nil
	}
	subject := messageSubject(q.Ref.Queue, labels)
	q.labels.mu.Lock()
	defer q.labels.mu.Unlock()
	if _, ok := q.labels.known[subject]; ok {
		return nil
	}
	request := mustJSON(map[string]string{"subjects_filter": queueSubjects(q.Ref.Queue)})
	info, err := s.streamInfo(ctx, streamName(q.Ref.Queue), request)
	if err != nil {
		if code(err) == codeNoStream {
			s.drop(q.Ref.Queue)
		}
		return toError(err)
	}
	known := make(map[string]struct{}, len(info.State.Subjects)+1)
	for have := range info.State.Subjects {
		known[have] = struct{}{}
	}
	_, ok := known[subject]
	if !ok && len(known) >= maxLabelSets {
		return dms.Errorf(dms.BadLabel, "the queue holds messages with %d different sets of tags, which is the most it may", len(known))
	}
	known[subject] = struct{}{}
	q.labels.known = known
	return nil
}
