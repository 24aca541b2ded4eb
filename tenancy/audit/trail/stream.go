package trail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"dms/tenancy"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	streamName = "audit"
	subject    = "audit"
	getSubject = "$JS.API.STREAM.MSG.GET." + streamName
	infoTopic  = "$JS.API.STREAM.INFO." + streamName
	directGet  = "$JS.API.DIRECT.GET." + streamName

	maxRecord = 64 << 10 // bytes; counts of a minute are the largest

	codeNoMessage     = 10037
	codeNoStream      = 10059
	codeWrongSequence = 10071
	codeDenied        = 10164 // wrong last sequence, from a replica that proposes
)

// streamConfig is the stream of a trail. What is in it can be neither deleted nor purged
// one by one; the oldest records go by age, or for want of room.
func streamConfig(keep time.Duration) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              streamName,
		Description:       "who did what",
		Subjects:          []string{subject},
		Retention:         jetstream.LimitsPolicy,
		Storage:           jetstream.FileStorage,
		Replicas:          3,
		MaxAge:            keep,
		MaxBytes:          tenancy.AuditBytes,
		MaxMsgs:           -1,
		MaxMsgSize:        maxRecord,
		MaxMsgsPerSubject: -1,
		MaxConsumers:      -1,
		Discard:           jetstream.DiscardOld,
		Duplicates:        2 * time.Minute,
		DenyDelete:        true,
		DenyPurge:         true,
		AllowDirect:       true, // for reading many at once; ends are read from the leader
	}
}

// message is a stored message.
type message struct {
	Sequence uint64    `json:"seq"`
	Data     []byte    `json:"data"`
	Time     time.Time `json:"time"`
}

func readLast(ctx context.Context, nc *nats.Conn) (message, error) {
	return read(ctx, nc, map[string]any{"last_by_subj": subject})
}

func readAt(ctx context.Context, nc *nats.Conn, sequence uint64) (message, error) {
	return read(ctx, nc, map[string]any{"seq": sequence})
}

// read asks the leader for a message.
func read(ctx context.Context, nc *nats.Conn, question map[string]any) (message, error) {
	var answer struct {
		Message message `json:"message"`
	}
	err := ask(ctx, nc, getSubject, question, &answer)
	return answer.Message, err
}

// bounds returns the first and the last sequence of the stream, as the leader has them.
// The first is one more than the last when nothing is kept.
func bounds(ctx context.Context, nc *nats.Conn) (first, last uint64, err error) {
	var answer struct {
		State struct {
			First uint64 `json:"first_seq"`
			Last  uint64 `json:"last_seq"`
		} `json:"state"`
	}
	err = ask(ctx, nc, infoTopic, nil, &answer)
	return answer.State.First, answer.State.Last, err
}

func ask(ctx context.Context, nc *nats.Conn, subject string, question map[string]any, into any) error {
	var data []byte
	if question != nil {
		var err error
		if data, err = json.Marshal(question); err != nil {
			return fmt.Errorf("ask %s: %w", subject, err)
		}
	}
	m, err := nc.RequestWithContext(ctx, subject, data)
	if err != nil {
		return err
	}
	return decode(m, into)
}

// decode reads an answer; an error in it is returned as such.
func decode(m *nats.Msg, into any) error {
	var failed struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &failed); err != nil {
		return fmt.Errorf("read an answer: %w", err)
	}
	if failed.Error != nil {
		return failed.Error
	}
	if err := json.Unmarshal(m.Data, into); err != nil {
		return fmt.Errorf("read an answer: %w", err)
	}
	return nil
}

// block reads up to batch messages from the sequence on, from whichever replica answers.
// It may be behind the leader.
func block(ctx context.Context, nc *nats.Conn, from uint64, batch int) ([]message, error) {
	question, err := json.Marshal(map[string]any{"seq": from, "batch": batch, "next_by_subj": subject})
	if err != nil {
		return nil, fmt.Errorf("read the trail: %w", err)
	}
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	defer sub.Unsubscribe() //nolint:errcheck // fails only on a closed connection
	if err := nc.PublishRequest(directGet, inbox, question); err != nil {
		return nil, err
	}
	var got []message
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, err
		}
		switch status := m.Header.Get("Status"); status {
		case "":
		case "204", "404": // there are no more
			return got, nil
		case "503":
			return nil, nats.ErrNoResponders
		default:
			return nil, fmt.Errorf("read the trail: status %s %s", status, m.Header.Get("Description"))
		}
		sequence, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read the trail: sequence: %w", err)
		}
		at, err := time.Parse(time.RFC3339Nano, m.Header.Get(jetstream.TimeStampHeaer))
		if err != nil {
			return nil, fmt.Errorf("read the trail: time: %w", err)
		}
		got = append(got, message{Sequence: sequence, Data: m.Data, Time: at})
	}
}

// code is the engine's own error number, or 0.
func code(err error) jetstream.ErrorCode {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		return api.ErrorCode
	}
	return 0
}

const (
	attemptWithin = 3 * time.Second
	firstPause    = 5 * time.Millisecond
	longestPause  = 400 * time.Millisecond
	// patience hides the loss of a leader, which takes 4 to 9 s to replace.
	patience = 12 * time.Second
)

// patient calls f until it succeeds or its time is over, except when the project is gone:
// there is no failure of the cluster that may not pass, and f stores nothing twice.
func patient(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pause := firstPause
	for {
		attempt, done := context.WithTimeout(ctx, attemptWithin)
		err := f(attempt)
		done()
		if err == nil || errors.Is(err, tenancy.ErrNoProject) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", tenancy.ErrUnavailable, err)
		case <-time.After(pause):
			if c := code(err); c != codeWrongSequence && c != codeDenied {
				pause = min(2*pause, longestPause)
			}
		}
	}
}
