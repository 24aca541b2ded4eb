package accounts

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"dms/tenancy"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
)

const (
	subjectPurge = "$JS.API.ACCOUNT.PURGE.%s"
	subjectJsz   = "$SYS.REQ.SERVER.PING.JSZ"
	pollEvery    = 20 * time.Millisecond
	deleteWithin = 30 * time.Second
	// purgeSeen is how long all nodes are waited for to have removed the streams. One that
	// is behind would list them in a project that is made again at once.
	purgeSeen = 10 * time.Second
)

// Delete removes the project's account and all it stores. Every node must confirm, for
// a node that missed the deletion would hand the empty account back to the others: with
// a node down the data is removed and ErrUnavailable returned, and Delete must be asked
// again later. Deleting what is not there succeeds.
func (a *Accounts) Delete(ctx context.Context, id tenancy.ProjectID) error {
	ctx, cancel := context.WithTimeout(ctx, deleteWithin)
	defer cancel()
	k, err := a.derive(id)
	if err != nil {
		return fmt.Errorf("delete account: %w", err)
	}
	a.closeAll(id)
	have, err := a.lookup(ctx, k.public)
	if err != nil {
		return fmt.Errorf("delete account of project %s: %w", id, err)
	}
	known := false
	for _, h := range have {
		known = known || h != nil
	}
	if !known && len(have) == a.opts.Nodes {
		return nil
	}
	if known {
		if err := a.lockOut(ctx, id, k); err != nil {
			return fmt.Errorf("delete account of project %s: close it: %w", id, err)
		}
		if err := a.purge(ctx, k.public); err != nil {
			return fmt.Errorf("delete data of project %s: %w", id, err)
		}
	}
	if err := a.remove(ctx, k.public); err != nil {
		return fmt.Errorf("delete account of project %s: %w", id, err)
	}
	return nil
}

func (a *Accounts) closeAll(id tenancy.ProjectID) {
	a.mu.Lock()
	var conns []*nats.Conn
	for nc := range a.conns[id] {
		conns = append(conns, nc)
	}
	a.mu.Unlock()
	for _, nc := range conns {
		nc.Close()
	}
}

// lockOut closes the account to all connections of all nodes, so that nothing is made
// in it while it is being emptied.
func (a *Accounts) lockOut(ctx context.Context, id tenancy.ProjectID, k accountKeys) error {
	c, err := a.claims(tenancy.Project{ID: id, Limits: tenancy.DefaultLimits()}, k)
	if err != nil {
		return err
	}
	c.Limits.Conn = 0
	return a.push(ctx, c)
}

// purge removes all streams, and waits until no node has any; nodes that are down are
// waited for for a while.
func (a *Accounts) purge(ctx context.Context, public string) error {
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	patience := time.Now().Add(purgeSeen)
	for {
		// Asked again each time: a leader that changes forgets what it was asked.
		last := a.askPurge(ctx, public)
		if last == nil {
			var left, nodes int
			left, nodes, last = a.streams(ctx, public)
			switch {
			case last != nil:
			case left > 0:
				last = fmt.Errorf("%d streams are left", left)
			case nodes < a.opts.Nodes && time.Now().Before(patience):
				last = fmt.Errorf("%w: %d of %d", ErrUnavailable, nodes, a.opts.Nodes)
			default:
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w: %w", ErrUnavailable, context.Cause(ctx), last)
		case <-t.C:
		}
	}
}

func (a *Accounts) askPurge(ctx context.Context, public string) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	m, err := a.opts.System.RequestWithContext(ctx, fmt.Sprintf(subjectPurge, public), nil)
	if err != nil {
		return fmt.Errorf("ask the cluster's leader: %w", err)
	}
	var r struct {
		Initiated bool `json:"initiated"`
		Error     *struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &r); err != nil {
		return fmt.Errorf("read the leader's answer: %w", err)
	}
	if r.Error != nil {
		return fmt.Errorf("%w: %s", ErrRefused, r.Error.Description)
	}
	return nil
}

// streams counts the replicas of streams of the account on the nodes that answer, and
// these. It fails when they are less than most.
func (a *Accounts) streams(ctx context.Context, public string) (left, nodes int, err error) {
	question, err := json.Marshal(map[string]any{"account": public})
	if err != nil {
		return 0, 0, fmt.Errorf("ask for streams: %w", err)
	}
	var bad error
	nodes, err = a.ask(ctx, subjectJsz, question, func(m *nats.Msg) {
		var r struct {
			Data struct {
				Accounts []struct {
					Name    string            `json:"name"`
					ID      string            `json:"id"`
					Streams []json.RawMessage `json:"stream_detail"`
				} `json:"account_details"`
			} `json:"data"`
			Error *struct {
				Description string `json:"description"`
			} `json:"error"`
		}
		if err := json.Unmarshal(m.Data, &r); err != nil {
			bad = fmt.Errorf("read what a node stores: %w", err)
			return
		}
		for _, acc := range r.Data.Accounts {
			left += len(acc.Streams)
		}
	})
	switch {
	case err != nil:
		return 0, nodes, err
	case bad != nil:
		return 0, nodes, bad
	case nodes < a.majority():
		return 0, nodes, fmt.Errorf("%w: %d of %d", ErrUnavailable, nodes, a.opts.Nodes)
	}
	return left, nodes, nil
}

// remove deletes the account itself on every node.
func (a *Accounts) remove(ctx context.Context, public string) error {
	signer, err := a.opts.Signing.PublicKey()
	if err != nil {
		return fmt.Errorf("read signing key: %w", err)
	}
	// Only a claim about the signer itself is accepted.
	c := jwt.NewGenericClaims(signer)
	c.Data["accounts"] = []string{public}
	token, err := c.Encode(a.opts.Signing)
	if err != nil {
		return fmt.Errorf("sign deletion: %w", err)
	}
	return a.tell(ctx, subjectDelete, []byte(token), a.opts.Nodes)
}
