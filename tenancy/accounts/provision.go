package accounts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"dms/tenancy"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
)

const (
	subjectUpdate = "$SYS.REQ.CLAIMS.UPDATE"
	subjectDelete = "$SYS.REQ.CLAIMS.DELETE"
	subjectLookup = "$SYS.REQ.ACCOUNT.%s.CLAIMS.LOOKUP"
	// straggle is how long a round waits for the last nodes once a majority has answered.
	straggle = 100 * time.Millisecond
)

// Provision makes the project's account, or changes it to the project's limits. It
// returns when a majority of nodes has the account; the others fetch it when they need
// it. Asking for what is there already changes nothing.
func (a *Accounts) Provision(ctx context.Context, p tenancy.Project) error {
	if err := p.Limits.Validate(); err != nil {
		return fmt.Errorf("provision account of project %s: %w", p.ID, err)
	}
	k, err := a.derive(p.ID)
	if err != nil {
		return fmt.Errorf("provision account: %w", err)
	}
	want, err := a.claims(p, k)
	if err != nil {
		return fmt.Errorf("provision account of project %s: %w", p.ID, err)
	}
	have, err := a.lookup(ctx, k.public)
	if err != nil {
		return fmt.Errorf("provision account of project %s: %w", p.ID, err)
	}
	same := 0
	for _, h := range have {
		if h != nil && reflect.DeepEqual(h.Limits, want.Limits) && reflect.DeepEqual(h.SigningKeys, want.SigningKeys) {
			same++
		}
	}
	if same >= a.majority() && same == len(have) {
		return nil
	}
	if err := a.push(ctx, want); err != nil {
		return fmt.Errorf("provision account of project %s: %w", p.ID, err)
	}
	return nil
}

// Exists reports whether any node knows the project's account.
func (a *Accounts) Exists(ctx context.Context, id tenancy.ProjectID) (bool, error) {
	k, err := a.derive(id)
	if err != nil {
		return false, fmt.Errorf("look for account: %w", err)
	}
	have, err := a.lookup(ctx, k.public)
	if err != nil {
		return false, fmt.Errorf("look for account of project %s: %w", id, err)
	}
	for _, h := range have {
		if h != nil {
			return true, nil
		}
	}
	return false, nil
}

func (a *Accounts) majority() int { return a.opts.Nodes/2 + 1 }

func (a *Accounts) push(ctx context.Context, c *jwt.AccountClaims) error {
	token, err := c.Encode(a.opts.Signing)
	if err != nil {
		return fmt.Errorf("sign account: %w", err)
	}
	return a.tell(ctx, subjectUpdate, []byte(token), a.majority())
}

// tell asks all nodes to do something and returns when at least enough of them did.
func (a *Accounts) tell(ctx context.Context, subject string, data []byte, enough int) error {
	done := 0
	var refused error
	n, err := a.ask(ctx, subject, data, func(m *nats.Msg) {
		var r struct {
			Error *struct {
				Description string `json:"description"`
			} `json:"error"`
		}
		switch err := json.Unmarshal(m.Data, &r); {
		case err != nil:
			refused = fmt.Errorf("%w: unreadable answer: %w", ErrRefused, err)
		case r.Error != nil:
			refused = fmt.Errorf("%w: %s", ErrRefused, r.Error.Description)
		default:
			done++
		}
	})
	switch {
	case err != nil:
		return err
	case refused != nil:
		return refused
	case done < enough:
		return fmt.Errorf("%w: %d of %d, want %d", ErrUnavailable, n, a.opts.Nodes, enough)
	}
	return nil
}

// lookup returns what the nodes that answered know of the account: nil where a node
// has none. It is an error when fewer than a majority answered.
func (a *Accounts) lookup(ctx context.Context, public string) ([]*jwt.AccountClaims, error) {
	var out []*jwt.AccountClaims
	var bad error
	n, err := a.ask(ctx, fmt.Sprintf(subjectLookup, public), nil, func(m *nats.Msg) {
		if len(m.Data) == 0 {
			out = append(out, nil)
			return
		}
		c, err := jwt.DecodeAccountClaims(string(m.Data))
		if err != nil {
			bad = fmt.Errorf("%w: unreadable account: %w", ErrRefused, err)
			return
		}
		out = append(out, c)
	})
	switch {
	case err != nil:
		return nil, err
	case bad != nil:
		return nil, bad
	case n < a.majority():
		return nil, fmt.Errorf("%w: %d of %d", ErrUnavailable, n, a.opts.Nodes)
	}
	return out, nil
}

// ask sends a question to all nodes and hands their answers to each. It returns how
// many answered: when all have, or shortly after a majority has, or at the limit.
func (a *Accounts) ask(ctx context.Context, subject string, data []byte, each func(*nats.Msg)) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	inbox := a.opts.System.NewInbox()
	sub, err := a.opts.System.SubscribeSync(inbox)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // fails only on a closed connection
	if err := a.opts.System.PublishRequest(subject, inbox, data); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	n := 0
	for n < a.opts.Nodes {
		wait, stop := ctx, func() {}
		if n >= a.majority() {
			wait, stop = context.WithTimeout(ctx, straggle)
		}
		m, err := sub.NextMsgWithContext(wait)
		stop()
		if errors.Is(err, context.DeadlineExceeded) {
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		if m.Header.Get("Status") == "503" {
			continue // nobody listens on this node
		}
		n++
		each(m)
	}
	return n, nil
}
