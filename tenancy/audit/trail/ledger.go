package trail

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"strconv"
	"time"

	"dms/tenancy"
	"dms/tenancy/audit"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ledger is the trail of one project.
type ledger struct {
	t       *Trail
	project tenancy.ProjectID
	chain   *audit.Chain
	turn    chan struct{} // holds one value while nobody uses what is below the line

	users   int       // guarded by Trail.mu
	lastUse time.Time // guarded by Trail.mu

	// The line. Whoever has the turn uses these.
	conn  *nats.Conn
	made  bool // the stream is known to be there
	known bool // head is where the chain ends, unless another node has written since
	head  head
}

// head is the end of a chain.
type head struct {
	sequence uint64
	hash     []byte // nil if the record is not kept any more, or there never was one
}

// entry is a record on its way into the chain.
type entry struct {
	record audit.Record
	tried  *attempt // whether it was stored is not known
}

// attempt is a record sealed for one place.
type attempt struct {
	id       string
	sequence uint64
	data     []byte
	hash     []byte
}

func newLedger(t *Trail, project tenancy.ProjectID) (*ledger, error) {
	chain, err := audit.NewChain(t.o.Secret, project)
	if err != nil {
		return nil, err
	}
	l := &ledger{t: t, project: project, chain: chain, turn: make(chan struct{}, 1), lastUse: time.Now()}
	l.turn <- struct{}{}
	return l, nil
}

func (l *ledger) close() {
	<-l.turn // nobody holds it for longer than its own time allows
	l.forget()
	l.turn <- struct{}{}
}

func (l *ledger) forget() {
	if l.conn != nil {
		l.conn.Close()
	}
	l.conn, l.made, l.known = nil, false, false
}

// open connects to the account and makes the stream, as far as that is not done.
func (l *ledger) open(ctx context.Context) error {
	if l.conn != nil && l.conn.IsClosed() { // its account was deleted, and may be there again
		l.forget()
	}
	if l.conn == nil {
		conn, err := l.t.o.Connect(ctx, l.project)
		if err != nil {
			return err
		}
		l.conn = conn
	}
	if l.made {
		return nil
	}
	js, err := jetstream.New(l.conn)
	if err != nil {
		return err
	}
	if _, err := js.Stream(ctx, streamName); errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = js.CreateStream(ctx, streamConfig(l.t.o.Keep))
		if err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return fmt.Errorf("make the stream: %w", err)
		}
	} else if err != nil {
		return fmt.Errorf("find the stream: %w", err)
	}
	l.made = true
	return nil
}

// refresh reads from the leader where the chain ends.
func (l *ledger) refresh(ctx context.Context) error {
	l.known = false
	if err := l.open(ctx); err != nil {
		return err
	}
	end, err := l.readHead(ctx)
	if code(err) == codeNoStream {
		l.made = false // it was removed with its account, which was made anew
	}
	if err != nil {
		return err
	}
	l.head, l.known = end, true
	return nil
}

func (l *ledger) readHead(ctx context.Context) (head, error) {
	m, err := readLast(ctx, l.conn)
	if code(err) == codeNoMessage { // none was written, or all are gone
		_, last, err := bounds(ctx, l.conn)
		return head{sequence: last}, err
	}
	if err != nil {
		return head{}, err
	}
	e, _, err := l.chain.Open(m.Sequence, m.Data)
	if err != nil {
		// Somebody wrote into the stream. What follows is chained to nothing, which is what
		// a check then finds; to refuse all changes for ever would help nobody.
		return head{sequence: m.Sequence}, nil
	}
	return head{sequence: m.Sequence, hash: e.Hash}, nil
}

// append stores the entry at the end of the chain, once, wherever the end is by then.
func (l *ledger) append(ctx context.Context, e *entry) error {
	return patient(ctx, func(ctx context.Context) error {
		if !l.known || l.conn == nil || l.conn.IsClosed() {
			if err := l.refresh(ctx); err != nil {
				return err
			}
		}
		if stored, err := l.stored(ctx, e); stored || err != nil {
			return err
		}
		if e.tried == nil {
			next := l.head.sequence + 1
			data, hash, err := l.chain.Seal(next, l.head.hash, e.record)
			if err != nil {
				return err
			}
			e.tried = &attempt{id: uuid.NewString(), sequence: next, data: data, hash: hash}
		}
		l.known = false // until it is known what came of it
		if err := publish(ctx, l.conn, e.tried); err != nil {
			return err
		}
		l.head, l.known = head{sequence: e.tried.sequence, hash: e.tried.hash}, true
		return nil
	})
}

// stored reports whether an earlier attempt is in its place after all. An attempt whose
// place is taken by another record is given up; one whose place is free is made again.
func (l *ledger) stored(ctx context.Context, e *entry) (bool, error) {
	if e.tried == nil || l.head.sequence < e.tried.sequence {
		return false, nil
	}
	m, err := readAt(ctx, l.conn, e.tried.sequence)
	if err != nil && code(err) != codeNoMessage {
		return false, err
	}
	if err == nil {
		if there, _, err := l.chain.Open(m.Sequence, m.Data); err == nil && hmac.Equal(there.Hash, e.tried.hash) {
			return true, nil
		}
	}
	e.tried = nil
	return false, nil
}

// publish stores a record if the stream ends just before its place.
func publish(ctx context.Context, nc *nats.Conn, a *attempt) error {
	m := nats.NewMsg(subject)
	m.Data = a.data
	m.Header.Set(jetstream.MsgIDHeader, a.id)
	m.Header.Set(jetstream.ExpectedLastSeqHeader, strconv.FormatUint(a.sequence-1, 10))
	m.Header.Set(jetstream.ExpectedStreamHeader, streamName)
	answer, err := nc.RequestMsgWithContext(ctx, m)
	if err != nil {
		return err
	}
	var ack struct {
		Sequence uint64 `json:"seq"`
	}
	if err := decode(answer, &ack); err != nil {
		return err
	}
	if ack.Sequence != a.sequence {
		return fmt.Errorf("the record was stored at %d instead of %d", ack.Sequence, a.sequence)
	}
	return nil
}
