package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
)

// tokenFile ends the names of the files in which the server keeps accounts.
const tokenFile = ".jwt"

func (o Options) accountsDir() string { return filepath.Join(o.Dir, "accounts") }

// openResolver opens the member's copy of the accounts, with those in it that the member
// can make by itself. It also returns which accounts were there.
func openResolver(o Options, budget int64) (*server.DirAccResolver, map[string]bool, error) {
	dir := o.accountsDir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("make folder of accounts: %w", err)
	}
	if err := keepSynced(dir); err != nil {
		o.Log.LogAttrs(context.Background(), slog.LevelWarn, "new accounts may be lost when all nodes lose their power at once; the start restores them", slog.Any("err", err))
	}
	had, err := readAccounts(dir, o.Log)
	if err != nil {
		return nil, nil, fmt.Errorf("read accounts: %w", err)
	}
	own, err := o.ownAccounts(budget)
	if err != nil {
		return nil, nil, err
	}
	r, err := server.NewDirAccResolver(dir, 0, syncAccounts, server.RenameDeleted)
	if err != nil {
		return nil, nil, fmt.Errorf("open accounts: %w", err)
	}
	for public, token := range own {
		if had[public] {
			continue
		}
		if err := r.Store(public, token); err != nil {
			r.Close()
			return nil, nil, fmt.Errorf("store account: %w", err)
		}
		had[public] = true
	}
	return r, had, nil
}

// ownAccounts are tokens of the accounts that a member needs before it can ask anybody, by
// public key.
func (o Options) ownAccounts(budget int64) (map[string]string, error) {
	all := make(map[string]string)
	if o.Accounts != nil {
		more, err := o.Accounts(budget)
		if err != nil {
			return nil, err
		}
		all = more
	}
	pub, err := o.Keys.System().PublicKey()
	if err != nil {
		return nil, fmt.Errorf("read system account key: %w", err)
	}
	claims := jwt.NewAccountClaims(pub)
	claims.Name = "SYS"
	if all[pub], err = claims.Encode(o.Keys.OperatorSigning()); err != nil {
		return nil, fmt.Errorf("sign system account: %w", err)
	}
	return all, nil
}

// readAccounts lists the accounts in the folder. A file that a loss of power left empty or
// cut off is put aside: the server would pass it on to other members.
func readAccounts(dir string, log *slog.Logger) (map[string]bool, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	had := make(map[string]bool)
	for _, e := range entries {
		public, ok := strings.CutSuffix(e.Name(), tokenFile)
		if !ok {
			continue
		}
		path := filepath.Join(dir, e.Name())
		token, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if readable(public, string(token)) {
			had[public] = true
			continue
		}
		log.LogAttrs(context.Background(), slog.LevelWarn, "the file of an account is damaged and put aside", slog.String("file", path))
		if err := os.Rename(path, path+".damaged"); err != nil {
			return nil, err
		}
	}
	return had, nil
}

// readable reports whether a token is that of the account.
func readable(public, token string) bool {
	claims, err := jwt.DecodeAccountClaims(token)
	return err == nil && claims.Subject == public
}

// findWithin is how long streams of a restored account may take to show up by themselves.
const findWithin = 3 * time.Second

// restore puts accounts (tokens by public key) that the member did not have when it
// started. It reports whether the member has to run anew: it gives up for good on streams
// whose account it does not find while it recovers.
func (m *Member) restore(ctx context.Context, tokens map[string]string) (again bool, err error) {
	if err := m.storage(); err != nil {
		return false, err
	}
	r, ok := m.server.AccountResolver().(*server.DirAccResolver)
	if !ok {
		return false, errors.New("the member keeps no accounts")
	}
	var lost []string
	for public, token := range tokens {
		if m.had[public] {
			continue
		}
		lost = append(lost, public)
		if have, err := r.LoadAcc(public); err == nil && readable(public, have) {
			continue // a peer had it
		}
		m.log.LogAttrs(ctx, slog.LevelWarn, "an account was lost and is restored", slog.String("account", public))
		if err := r.Store(public, token); err != nil {
			return false, fmt.Errorf("restore account: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, findWithin)
	defer cancel()
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	for _, public := range lost {
		for !m.complete(public) {
			select {
			case <-ctx.Done():
				return true, nil
			case <-t.C:
			}
		}
	}
	return false, nil
}

// complete reports whether the member has all that it should store of the account.
func (m *Member) complete(account string) bool {
	if m.storage() != nil {
		return false
	}
	h := m.server.Healthz(&server.HealthzOptions{Account: account})
	return h.Status == "ok" || h.StatusCode == 404 // nothing is stored in it
}

// Restore puts accounts (tokens by public key) that were lost with the power, and runs the
// member anew where it has not found their streams. It costs nothing when none was lost.
func (s *Seat) Restore(ctx context.Context, tokens map[string]string) error {
	m := s.Member()
	if m == nil {
		return refuse(ErrStopped, "member %s is down", s.opts.Name)
	}
	again, err := m.restore(ctx, tokens)
	if err != nil || !again {
		return err
	}
	s.log.LogAttrs(ctx, slog.LevelWarn, "the member runs anew to find the streams of accounts that it had lost")
	return s.Work(ctx, func(string) error { return nil })
}

// Restore is Seat.Restore for all members that run.
func (t *Trio) Restore(ctx context.Context, tokens map[string]string) error {
	for i := range t.Size() {
		m := t.Member(i)
		if m == nil {
			continue
		}
		again, err := m.restore(ctx, tokens)
		if err != nil {
			return err
		}
		if again {
			t.Kill(i)
			if err := t.Restart(i); err != nil {
				return err
			}
		}
	}
	return nil
}
