package engine

import (
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Replica is what a member stores of one replicated stream.
type Replica struct {
	Account string // public key
	Name    string // of the account
	Stream  string
	Made    int64 // nanoseconds of Unix time
	First   uint64
	FirstAt int64 // when the first message was stored, as Made; 0 when there is none
	Last    uint64
	Keep    time.Duration // for how long a message is kept; 0 is for ever
	// Messages and Bytes are what the member can read.
	Messages, Bytes uint64
	Led             bool
}

// Replicas lists what the member stores of replicated streams, from memory.
func (m *Member) Replicas() ([]Replica, error) {
	info, err := m.Jsz(&server.JSzOptions{Accounts: true, Streams: true, Config: true, Limit: 1 << 20})
	if err != nil {
		return nil, fmt.Errorf("list replicas of member %s: %w", m.opts.Name, err)
	}
	var all []Replica
	for _, a := range info.AccountDetails {
		for _, s := range a.Streams {
			if s.Cluster == nil || len(s.Cluster.Replicas) == 0 {
				continue
			}
			r := Replica{
				Account: a.Id, Name: a.Name, Stream: s.Name, Made: s.Created.UnixNano(),
				First: s.State.FirstSeq, Last: s.State.LastSeq, Messages: s.State.Msgs, Bytes: s.State.Bytes,
				Led: s.Cluster.Leader == m.opts.Name,
			}
			if s.State.Msgs > 0 {
				r.FirstAt = s.State.FirstTime.UnixNano()
			}
			if s.Config != nil {
				r.Keep = s.Config.MaxAge
			}
			all = append(all, r)
		}
	}
	return all, nil
}

// StepAside makes the member give up the lead of the stream and of its consumers, if it
// has it.
func (m *Member) StepAside(account, stream string) error {
	if m.LeadsStream(account, stream) {
		if err := m.StepDown(account, stream); err != nil {
			return err
		}
	}
	info, err := m.Jsz(&server.JSzOptions{Account: account, Streams: true, Consumer: true, Limit: 1 << 20})
	if err != nil {
		return err
	}
	for _, a := range info.AccountDetails {
		for _, s := range a.Streams {
			if s.Name != stream {
				continue
			}
			for _, c := range s.Consumer {
				if c.Cluster == nil || c.Cluster.Leader != m.opts.Name {
					continue
				}
				if err := m.StepDownConsumer(account, stream, c.Name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Store is the folder of what the members of the seat store.
func (s *Seat) Store() string { return s.opts.storeDir() }

// LogOf names the log that carries a replicated stream.
func (m *Member) LogOf(account, stream string) (string, error) {
	info, err := m.Jsz(&server.JSzOptions{Account: account, Streams: true, RaftGroups: true, Limit: 1 << 20})
	if err != nil {
		return "", fmt.Errorf("look for the log of stream %s: %w", stream, err)
	}
	for _, a := range info.AccountDetails {
		for _, s := range a.Streams {
			if s.Name == stream && s.RaftGroup != "" {
				return s.RaftGroup, nil
			}
		}
	}
	return "", fmt.Errorf("member %s has no log of stream %s", m.opts.Name, stream)
}
