package mapping

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"dms/mapping/dms"
	"dms/tenancy"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The log's error codes this package acts on.
const (
	codeAccountFull     = 10002
	codeNoPeers         = 10005
	codeUnavailable     = 10008
	codeNotLeader       = 10009
	codeNoConsumer      = 10014
	codeServerFull      = 10023
	codeTooManyStreams  = 10027
	codeAccountUnknown  = 10035
	codeNoMessage       = 10037
	codeNoSequence      = 10043
	codeDeleteFailed    = 10057
	codeAccountLoading  = 10039
	codeStorageFull     = 10047
	codeTooLarge        = 10054
	codeNameTaken       = 10058
	codeNoStream        = 10059
	codeSubjectsOverlap = 10065
	codeWrongSequence   = 10071
	codeStoreFailed     = 10077
	codeDuplicateInWork = 10158
	codeWrongSequence2  = 10164
	codeTooManyRequests = 10167
	codeBatchIncomplete = 10176
	codeBatchDuplicate  = 10201
	codeBatchesInFlight = 10210
)

// toError gives an error of the log its meaning. It is the only place that does.
func toError(err error) error {
	if err == nil {
		return nil
	}
	if own, ok := errors.AsType[*dms.Error](err); ok {
		return own
	}
	switch code(err) {
	case codeAccountFull:
		return dms.Wrap(dms.QuotaExceeded, err)
	case codeTooManyStreams:
		return dms.Wrap(dms.QuotaExceeded, err)
	case codeNoStream:
		return dms.Wrap(dms.QueueNotFound, err)
	case codeNoConsumer:
		return dms.Wrap(dms.GroupNotFound, err)
	case codeSubjectsOverlap, codeNameTaken:
		return dms.Wrap(dms.QueueExists, err)
	case codeServerFull, codeStorageFull, codeStoreFailed:
		return dms.Wrap(dms.Unavailable, err)
	case codeTooLarge:
		return dms.Wrap(dms.MessageTooBig, err)
	}
	if errors.Is(err, tenancy.ErrNoProject) {
		// The project was deleted a moment ago; nothing of it exists any more.
		return dms.Wrap(dms.QueueNotFound, err)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, errClosed) || errors.Is(err, nats.ErrConnectionClosed) || transient(err) {
		return dms.Wrap(dms.Unavailable, err)
	}
	return dms.Wrap(dms.Internal, err)
}

// code is the log's own error number, or 0.
func code(err error) jetstream.ErrorCode {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		return api.ErrorCode
	}
	return 0
}

// transient reports whether the same request may succeed in a moment: a leader is
// being elected, a reply was lost, a member has not heard of a new account, is still
// loading it or has just joined (no stream of ours reserves space, so there is room on
// every peer that is known), or the log asks for patience.
func transient(err error) bool {
	switch code(err) {
	case codeNoPeers, codeUnavailable, codeNotLeader, codeAccountUnknown, codeAccountLoading, codeDuplicateInWork, codeTooManyRequests, codeBatchIncomplete, codeBatchesInFlight:
		return true
	case 0:
		return errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse) ||
			errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) ||
			errors.Is(err, nats.ErrDisconnected) || errors.Is(err, nats.ErrConnectionReconnecting) ||
			errors.Is(err, nats.ErrReconnectBufExceeded)
	}
	return false
}

// has reports whether the error has the code, whatever it says besides.
func has(err error, c dms.Code) bool {
	own, ok := errors.AsType[*dms.Error](err)
	return ok && own.Code == c
}

func wrongSequence(err error) bool {
	c := code(err)
	return c == codeWrongSequence || c == codeWrongSequence2
}

// How long a request is held while its stream has no leader. An election takes 4 to
// 9 s and cannot be made shorter; what is held is answered late instead of wrongly.
const (
	holdFor        = 12 * time.Second
	attemptFor     = 3 * time.Second
	firstPause     = 20 * time.Millisecond
	longestStop    = 250 * time.Millisecond
	longestAttempt = 1500 * time.Millisecond
	// From electionsFrom on another leader may begin any moment. Reads are not answered
	// by who does not lead, so that an attempt from before is in vain, and is short.
	electionsFrom   = 3500 * time.Millisecond
	electionAttempt = 600 * time.Millisecond
	leastAttempt    = 100 * time.Millisecond
)

// firstAttempts are how long the first ones may take. What was on its way when a leader
// handed over is lost without a word, and what comes before the next one leads too, so
// that they are short: another leader is there by then, or elected any moment.
var firstAttempts = [...]time.Duration{300 * time.Millisecond, 300 * time.Millisecond, 600 * time.Millisecond, 1200 * time.Millisecond}

// attemptLimit is how long an attempt, counted from 0, may take when so much is left of
// holding. The last one is long, and begins when elections are over: storage that is slow,
// rather than without a leader, answers it.
func attemptLimit(number int, left time.Duration) time.Duration {
	const last = attemptFor + longestStop // with the pause before it
	switch {
	case left < last+leastAttempt:
		return left
	case left <= holdFor-electionsFrom:
		return min(electionAttempt, left-last)
	case number < len(firstAttempts):
		return firstAttempts[number]
	}
	return longestAttempt
}

// hold calls f until it succeeds, fails for good, or holdFor has passed. f must be
// safe to repeat: what it stores carries the same id every time.
func hold(ctx context.Context, f func(context.Context) error) error {
	end := time.Now().Add(holdFor)
	pause := firstPause
	for number := 0; ; number++ {
		// One context with a deadline for each attempt, and none around them: most
		// requests need one attempt.
		attempt, done := context.WithTimeout(ctx, attemptLimit(number, time.Until(end)))
		err := f(attempt)
		done()
		if err == nil || !transient(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return dms.Wrap(dms.Unavailable, err)
		case <-time.After(min(pause, time.Until(end))):
			pause = min(2*pause, longestStop)
		}
		if !time.Now().Before(end) {
			return dms.Wrap(dms.Unavailable, err)
		}
	}
}

// reply decodes a JSON answer of the log; an error in it is returned as such.
func reply(m *nats.Msg, into any) error {
	var failed struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &failed); err != nil {
		return err
	}
	if failed.Error != nil {
		return failed.Error
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(m.Data, into)
}
