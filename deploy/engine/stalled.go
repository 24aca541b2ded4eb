package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Stalled is a replica that cannot go on: the snapshot of its log reaches further than
// what it holds, and nobody leads who could give it the rest. See DESIGN.md.
type Stalled struct {
	Account  string `json:"account"`
	Stream   string `json:"stream"`
	Last     uint64 `json:"last"`     // sequence up to which it holds messages
	Snapshot uint64 `json:"snapshot"` // sequence up to which the snapshot reaches
}

// waitedLately is how long ago a replica waited in vain that is still looked for.
const waitedLately = 30 * time.Second

// Stalled lists the stalled replicas of the member. While none says that it waits in vain
// nothing is looked at; then it walks all that is stored, and reads snapshots.
func (m *Member) Stalled() ([]Stalled, error) {
	if time.Since(time.Unix(0, m.waited.Load())) > waitedLately {
		return nil, nil
	}
	info, err := m.Jsz(&server.JSzOptions{Accounts: true, Streams: true, RaftGroups: true, Limit: 1 << 20})
	if err != nil {
		return nil, fmt.Errorf("look for stalled replicas of member %s: %w", m.opts.Name, err)
	}
	var all []Stalled
	for _, a := range info.AccountDetails {
		for _, s := range a.Streams {
			if s.Cluster == nil || len(s.Cluster.Replicas) == 0 || s.Cluster.Leader != "" {
				continue
			}
			last, err := m.opts.snapshotLast(s.RaftGroup)
			if err != nil {
				return nil, err
			}
			if last > s.State.LastSeq {
				all = append(all, Stalled{Account: a.Id, Stream: s.Name, Last: s.State.LastSeq, Snapshot: last})
			}
		}
	}
	return all, nil
}

// snapshotLast is the sequence up to which the newest snapshot of a stream's log
// reaches, or 0 if it has none.
func (o Options) snapshotLast(group string) (uint64, error) {
	all, err := filepath.Glob(filepath.Join(o.storeDir(), "jetstream", "*", "_js_", group, "snapshots", "snap.*"))
	if err != nil {
		return 0, fmt.Errorf("look for snapshots: %w", err)
	}
	var last uint64
	for _, path := range all {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a newer one has taken its place
		}
		if err != nil {
			return 0, fmt.Errorf("read a snapshot: %w", err)
		}
		whole, err := wholeSnapshot(group, text)
		if err != nil {
			return 0, err
		}
		if !whole {
			continue
		}
		const head = 8 + 8 + 4 // term, index, length of the list of peers
		peers, end := uint64(binary.LittleEndian.Uint32(text[16:])), uint64(len(text)-8)
		if head+peers > end {
			continue
		}
		state, err := server.DecodeStreamState(text[head+peers : end])
		if err != nil {
			return 0, fmt.Errorf("read the snapshot of %s: %w", group, err)
		}
		last = max(last, state.LastSeq)
	}
	return last, nil
}

// Forward lets stalled replicas go on behind their snapshots. What they do not hold up to
// there counts as removed, so that it is for replicas only of which no member holds more.
// The member is stopped for it and runs again.
func (s *Seat) Forward(ctx context.Context, all []Stalled) error {
	return s.Work(ctx, func(store string) error {
		var errs []error
		for _, one := range all {
			folder := filepath.Join(store, "jetstream", one.Account, "streams", one.Stream)
			err := forward(folder, one.Stream, one.Snapshot, time.Now())
			errs = append(errs, err)
			s.log.LogAttrs(ctx, slog.LevelError, "a stream that no member could lead goes on", slog.String("account", one.Account),
				slog.String("stream", one.Stream), slog.Uint64("from", one.Last), slog.Uint64("to", one.Snapshot), slog.Any("err", err))
		}
		return errors.Join(errs...)
	})
}
