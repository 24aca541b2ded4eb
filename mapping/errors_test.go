package mapping

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dms/mapping/dms"
	"dms/tenancy"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func apiError(c jetstream.ErrorCode) error {
	return &jetstream.APIError{Code: 400, ErrorCode: c, Description: "as the log puts it"}
}

type codeRow struct {
	ours      jetstream.ErrorCode
	theirs    server.ErrorIdentifier // what the server calls it
	meaning   dms.Code
	transient bool
}

func codeRows() map[string]codeRow {
	return map[string]codeRow{
		"codeAccountFull":     {codeAccountFull, server.JSAccountResourcesExceededErr, dms.QuotaExceeded, false},
		"codeNoPeers":         {codeNoPeers, server.JSClusterNoPeersErrF, dms.Unavailable, true},
		"codeUnavailable":     {codeUnavailable, server.JSClusterNotAvailErr, dms.Unavailable, true},
		"codeNotLeader":       {codeNotLeader, server.JSClusterNotLeaderErr, dms.Unavailable, true},
		"codeNoConsumer":      {codeNoConsumer, server.JSConsumerNotFoundErr, dms.GroupNotFound, false},
		"codeServerFull":      {codeServerFull, server.JSInsufficientResourcesErr, dms.Unavailable, false},
		"codeTooManyStreams":  {codeTooManyStreams, server.JSMaximumStreamsLimitErr, dms.QuotaExceeded, false},
		"codeAccountUnknown":  {codeAccountUnknown, server.JSNoAccountErr, dms.Unavailable, true},
		"codeNoMessage":       {codeNoMessage, server.JSNoMessageFoundErr, dms.Internal, false},
		"codeNoSequence":      {codeNoSequence, server.JSSequenceNotFoundErrF, dms.Internal, false},
		"codeDeleteFailed":    {codeDeleteFailed, server.JSStreamMsgDeleteFailedF, dms.Internal, false},
		"codeAccountLoading":  {codeAccountLoading, server.JSNotEnabledForAccountErr, dms.Unavailable, true},
		"codeTooLarge":        {codeTooLarge, server.JSStreamMessageExceedsMaximumErr, dms.MessageTooBig, false},
		"codeStorageFull":     {codeStorageFull, server.JSStorageResourcesExceededErr, dms.Unavailable, false},
		"codeNameTaken":       {codeNameTaken, server.JSStreamNameExistErr, dms.QueueExists, false},
		"codeNoStream":        {codeNoStream, server.JSStreamNotFoundErr, dms.QueueNotFound, false},
		"codeSubjectsOverlap": {codeSubjectsOverlap, server.JSStreamSubjectOverlapErr, dms.QueueExists, false},
		"codeWrongSequence":   {codeWrongSequence, server.JSStreamWrongLastSequenceErrF, dms.Internal, false},
		"codeStoreFailed":     {codeStoreFailed, server.JSStreamStoreFailedF, dms.Unavailable, false},
		"codeDuplicateInWork": {codeDuplicateInWork, server.JSStreamDuplicateMessageConflict, dms.Unavailable, true},
		"codeWrongSequence2":  {codeWrongSequence2, server.JSStreamWrongLastSequenceConstantErr, dms.Internal, false},
		"codeTooManyRequests": {codeTooManyRequests, server.JSStreamTooManyRequests, dms.Unavailable, true},
		"codeBatchIncomplete": {codeBatchIncomplete, server.JSAtomicPublishIncompleteBatchErr, dms.Unavailable, true},
		"codeBatchDuplicate":  {codeBatchDuplicate, server.JSAtomicPublishContainsDuplicateMessageErr, dms.Internal, false},
		"codeBatchesInFlight": {codeBatchesInFlight, server.JSAtomicPublishTooManyInflight, dms.Unavailable, true},
	}
}

func TestEveryCodeOfTheLogHasItsMeaning(t *testing.T) {
	for name, row := range codeRows() {
		if got := jetstream.ErrorCode(server.ApiErrors[row.theirs].ErrCode); got != row.ours {
			t.Errorf("%s is %d, and the server's %d", name, row.ours, got)
		}
		for _, err := range []error{apiError(row.ours), fmt.Errorf("create queue: %w", apiError(row.ours))} {
			got := toError(err)
			if !has(got, row.meaning) || !errors.Is(got, err) {
				t.Errorf("toError(%s) = %v, want code %s and its cause", name, got, row.meaning)
			}
			if got := transient(err); got != row.transient {
				t.Errorf("transient(%s) = %t, want %t", name, got, row.transient)
			}
			if got, want := wrongSequence(err), strings.HasPrefix(name, "codeWrongSequence"); got != want {
				t.Errorf("wrongSequence(%s) = %t, want %t", name, got, want)
			}
		}
	}
}

func TestNoCodeOfTheLogIsWithoutARow(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	rows, named := codeRows(), 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "code") || len(spec.Values) != 1 {
			return true
		}
		lit, ok := spec.Values[0].(*ast.BasicLit)
		if !ok {
			return true
		}
		named++
		name := spec.Names[0].Name
		if row, ok := rows[name]; !ok || strconv.Itoa(int(row.ours)) != lit.Value {
			t.Errorf("%s = %s has no row among the codes tested", name, lit.Value)
		}
		return true
	})
	if named != len(rows) {
		t.Errorf("errors.go names %d codes, %d are tested", named, len(rows))
	}
}

func TestOtherErrorsHaveTheirMeaning(t *testing.T) {
	own := dms.Errorf(dms.GroupNotFound, "no such group")
	for name, row := range map[string]struct {
		err       error
		meaning   dms.Code
		transient bool
	}{
		"own":                       {own, dms.GroupNotFound, false},
		"own, wrapped":              {fmt.Errorf("consume: %w", own), dms.GroupNotFound, false},
		"own around one of the log": {dms.Wrap(dms.HandleInvalid, apiError(codeNoConsumer)), dms.HandleInvalid, false},
		"unknown code":              {apiError(10099), dms.Internal, false},
		"error without a code":      {apiError(0), dms.Internal, false},
		"unknown error":             {errors.New("disk on fire"), dms.Internal, false},
		"no responders":             {nats.ErrNoResponders, dms.Unavailable, true},
		"no responders, wrapped":    {fmt.Errorf("publish: %w", nats.ErrNoResponders), dms.Unavailable, true},
		"no stream response":        {jetstream.ErrNoStreamResponse, dms.Unavailable, true},
		"deadline":                  {context.DeadlineExceeded, dms.Unavailable, true},
		"timeout":                   {nats.ErrTimeout, dms.Unavailable, true},
		"disconnected":              {nats.ErrDisconnected, dms.Unavailable, true},
		"reconnecting":              {nats.ErrConnectionReconnecting, dms.Unavailable, true},
		"reconnect buffer full":     {nats.ErrReconnectBufExceeded, dms.Unavailable, true},
		"the caller left":           {context.Canceled, dms.Unavailable, false},
		"no such project":           {fmt.Errorf("connect: %w", tenancy.ErrNoProject), dms.QueueNotFound, false},
		"two, one of them known":    {errors.Join(errors.New("x"), apiError(codeNoStream)), dms.QueueNotFound, false},
		"stream not found":          {jetstream.ErrStreamNotFound, dms.QueueNotFound, false},
		"consumer not found":        {jetstream.ErrConsumerNotFound, dms.GroupNotFound, false},
	} {
		got := toError(row.err)
		if !has(got, row.meaning) {
			t.Errorf("%s: toError(%v) = %v, want code %s", name, row.err, got, row.meaning)
		}
		if got := transient(row.err); got != row.transient {
			t.Errorf("%s: transient(%v) = %t, want %t", name, row.err, got, row.transient)
		}
	}
	if err := toError(nil); err != nil {
		t.Errorf("toError(nil) = %v", err)
	}
	if transient(nil) || has(nil, dms.Internal) || code(nil) != 0 {
		t.Error("no error is taken for one")
	}
}

func TestTheTenantDoesNotReadWhatTheLogSays(t *testing.T) {
	own, ok := errors.AsType[*dms.Error](toError(apiError(codeAccountFull)))
	if !ok || own.Message != "" {
		t.Errorf("the error says %+v", own)
	}
}

func TestAReplyIsDecodedOrItsErrorReturned(t *testing.T) {
	var ack pubAck
	if err := reply(&nats.Msg{Data: []byte(`{"stream":"s","seq":7,"duplicate":true}`)}, &ack); err != nil || ack != (pubAck{"s", 7, true}) {
		t.Errorf("reply is %+v, %v", ack, err)
	}
	if err := reply(&nats.Msg{Data: []byte(`{"success":true}`)}, nil); err != nil {
		t.Errorf("a reply nobody reads gives %v", err)
	}
	err := reply(&nats.Msg{Data: []byte(`{"error":{"code":404,"err_code":10059,"description":"stream not found"},"seq":9}`)}, &ack)
	if code(err) != codeNoStream || ack.Sequence != 7 {
		t.Errorf("an error reply gives %v and sequence %d", err, ack.Sequence)
	}
	for _, data := range []string{"", "-ERR", `{"seq":-1}`} {
		if err := reply(&nats.Msg{Data: []byte(data)}, &ack); err == nil || transient(err) {
			t.Errorf("reply %q gives %v, want an error for good", data, err)
		}
	}
}

func TestHoldRepeatsUntilTheLeaderIsBack(t *testing.T) {
	for _, fault := range []error{apiError(codeNotLeader), nats.ErrNoResponders, fmt.Errorf("publish: %w", context.DeadlineExceeded)} {
		synctest.Test(t, func(t *testing.T) {
			start, calls := time.Now(), 0
			err := hold(t.Context(), func(context.Context) error {
				if calls++; time.Since(start) < 9*time.Second {
					return fault
				}
				return nil
			})
			if err != nil {
				t.Errorf("hold with %v for 9 s: %v", fault, err)
			}
			// It has to notice soon, and must not ask as fast as it can.
			if late := time.Since(start) - 9*time.Second; late > longestStop || calls > 40 {
				t.Errorf("hold with %v noticed after %v, in %d calls", fault, late, calls)
			}
		})
	}
}

func TestHoldCallsOnceWhenThatIsEnough(t *testing.T) {
	for _, want := range []error{
		nil, apiError(codeAccountFull), apiError(codeWrongSequence), errors.New("disk on fire"),
		dms.Errorf(dms.QueueNotFound, "gone"), context.Canceled, errConflict,
	} {
		synctest.Test(t, func(t *testing.T) {
			start, calls := time.Now(), 0
			err := hold(t.Context(), func(context.Context) error { calls++; return want })
			if err != want || calls != 1 || !time.Now().Equal(start) {
				t.Errorf("hold = %v after %d calls and %v, want %v at once", err, calls, time.Since(start), want)
			}
		})
	}
}

func TestHoldStopsAtTheFirstErrorForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		err := hold(t.Context(), func(context.Context) error {
			if calls++; calls < 4 {
				return nats.ErrNoResponders
			}
			return apiError(codeAccountFull)
		})
		if code(err) != codeAccountFull || calls != 4 {
			t.Errorf("hold = %v after %d calls", err, calls)
		}
	})
}

// stuck waits for an answer that does not come.
func stuck(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestHoldGivesUpInTime(t *testing.T) {
	for name, f := range map[string]func(context.Context) error{
		"refused at once": func(context.Context) error { return apiError(codeUnavailable) },
		"no answer":       stuck,
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			err := hold(t.Context(), f)
			wantCode(t, err, dms.Unavailable)
			if !transient(errors.Unwrap(err)) {
				t.Errorf("%s: the cause of %v is lost", name, err)
			}
			if got, want := time.Since(start), 12*time.Second; got != want {
				t.Errorf("%s: hold gave up after %v, want %v", name, got, want)
			}
		})
	}
}

// Whoever asks before there is a leader is not answered, and waits for it no longer than
// one attempt.
func TestHoldNoticesALeaderSoonAfterAnyElection(t *testing.T) {
	for elected := 4 * time.Second; elected <= 8500*time.Millisecond; elected += 70 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			err := hold(t.Context(), func(ctx context.Context) error {
				if time.Since(start) < elected {
					return stuck(ctx)
				}
				return nil
			})
			if late := time.Since(start) - elected; err != nil || late > electionAttempt+longestStop {
				t.Errorf("a leader elected after %v is noticed %v later: %v", elected, late, err)
			}
		})
	}
}

// A reply that is lost in a planned change of leaders costs less than a second; storage
// that takes seconds to answer is heard in the end.
func TestEveryAttemptOfHoldHasItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, calls := time.Now(), 0
		err := hold(t.Context(), func(ctx context.Context) error {
			if calls++; calls == 1 {
				return stuck(ctx) // the reply was lost
			}
			return nil
		})
		if got := time.Since(start); err != nil || got >= time.Second {
			t.Errorf("hold = %v after %v, want success within a second", err, got)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		err := hold(t.Context(), func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(attemptFor - time.Millisecond):
				return nil
			}
		})
		if err != nil {
			t.Errorf("slow storage is never heard: %v", err)
		}
	})
}

func TestHoldEndsWithItsCaller(t *testing.T) {
	refused := func(context.Context) error { return nats.ErrNoResponders }
	for name, f := range map[string]func(context.Context) error{"between attempts": refused, "in an attempt": stuck} {
		for how, end := range map[string]func(context.Context) (context.Context, context.CancelFunc){
			"cancelled": func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(ctx)
				time.AfterFunc(time.Second, cancel)
				return ctx, cancel
			},
			"deadline": func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, time.Second)
			},
		} {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := end(t.Context())
				defer cancel()
				start := time.Now()
				err := hold(ctx, f)
				if got := time.Since(start); got != time.Second {
					t.Errorf("%s, %s: hold ended after %v, want the caller's %v", how, name, got, time.Second)
				}
				wantCode(t, toError(err), dms.Unavailable)
			})
		}
	}
}
