package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"dms/deploy/engine/enginetest"
	"dms/facade"
	"dms/mapping"
	"dms/tenancy"
	"dms/tenancy/accounts"
	"dms/tenancy/audit/trail"
	"dms/tenancy/seal"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// service is three members, one API node and one project, and a connection of the
// bench's own into the project's account.
type service struct {
	options options
	cluster *enginetest.Cluster
	project tenancy.Project
	broker  *mapping.Broker
	trail   *trail.Trail
	server  *http.Server
	base    string
	client  *http.Client
	conn    *nats.Conn
	js      jetstream.JetStream
}

type everything struct{ *service }

func (e everything) Connect(ctx context.Context, id tenancy.ProjectID) (*nats.Conn, error) {
	return e.accounts().Connect(ctx, id)
}

func (e everything) Project(context.Context, tenancy.ProjectID) (tenancy.Project, error) {
	return e.project, nil
}

func (e everything) Admit(context.Context, tenancy.ProjectID, string) (tenancy.Project, error) {
	return e.project, nil
}

func (e everything) VerifyToken(context.Context, string) (tenancy.Identity, time.Time, error) {
	return tenancy.Identity{Subject: "bench", Grants: map[tenancy.ProjectID]tenancy.Grant{
		e.project.ID: {Roles: []tenancy.Role{tenancy.Manager}},
	}}, time.Now().Add(time.Hour), nil
}

func (s *service) accounts() *accounts.Accounts { return s.cluster.Accounts() }

func startService(ctx context.Context, encrypted bool) (*service, error) {
	s := &service{project: enginetest.NewProject()}
	s.project.Limits = tenancy.Limits{Queues: 500, GroupsPerQueue: 100, StoredBytes: 1 << 40}
	var err error
	if s.cluster, err = enginetest.OpenSized(8<<30, encrypted); err != nil {
		return nil, err
	}
	provisioned := s.project
	provisioned.Limits.StoredBytes = 7 << 30
	if err := s.accounts().Provision(ctx, provisioned); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	log := slog.New(slog.DiscardHandler)
	s.broker, err = mapping.New(mapping.Options{
		Tenants: everything{s}, SealingKeys: []seal.Key{{ID: 1, Secret: [32]byte{1}}}, Nodes: 1, Log: log,
	})
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	s.trail, err = trail.New(trail.Options{
		Connect: s.accounts().Connect, Secret: make([]byte, 32), Node: "bench", Keep: trail.DefaultKeep, Log: log,
	})
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	api, err := facade.New(facade.Options{
		Queues: s.broker, Groups: s.broker, Messages: s.broker, Tags: s.broker, Workbench: s.broker,
		Projects: everything{s}, Tokens: everything{s}, Audit: s.trail, Trail: s.trail, Log: log,
	})
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	s.server = facade.NewServer(api.Handler(), log)
	go s.server.Serve(l) //nolint:errcheck // ends with the process
	s.base = "http://" + l.Addr().String() + "/v2/" + string(s.project.ID)
	s.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2000, DisableCompression: true}}
	if s.conn, err = s.accounts().Connect(ctx, s.project.ID); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	s.js, err = jetstream.New(s.conn, jetstream.WithPublishAsyncMaxPending(4096))
	return s, err
}

func (s *service) stop() error {
	var errs []error
	if s.server != nil {
		errs = append(errs, s.server.Close())
	}
	if s.broker != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		errs = append(errs, s.broker.Close(ctx))
		cancel()
	}
	if s.trail != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		s.trail.Close(ctx)
		cancel()
	}
	if s.conn != nil {
		s.conn.Close()
	}
	s.cluster.Stop()
	return errors.Join(errs...)
}

// call does one request and decodes the answer, if into is not nil.
func (s *service) call(ctx context.Context, method, path string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("X-Auth-Token", "bench")
	res, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %d %s", method, path, res.StatusCode, answer)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}

// queue makes a queue with one group over REST and returns their paths and the name
// of the queue's stream.
func (s *service) queue(ctx context.Context, mode string) (queue, group, stream string, err error) {
	var q struct{ ID string }
	name := fmt.Sprintf(`{"name":"bench-%d","queue_mode":"%s"}`, time.Now().UnixNano(), mode)
	if err := s.call(ctx, http.MethodPost, "/queues", []byte(name), &q); err != nil {
		return "", "", "", err
	}
	var g struct{ Groups []struct{ ID string } }
	if err := s.call(ctx, http.MethodPost, "/queues/"+q.ID+"/groups", []byte(`{"groups":[{"name":"g"}]}`), &g); err != nil {
		return "", "", "", err
	}
	queue = "/queues/" + q.ID
	return queue, queue + "/groups/" + g.Groups[0].ID, "q_" + strings.ReplaceAll(q.ID, "-", ""), nil
}

// workers runs f in n goroutines until the context ends and adds up what they moved.
func workers(ctx context.Context, n int, f func(context.Context, int) (int64, error)) (int64, error) {
	var mu sync.Mutex
	var total int64
	var failed error
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			var moved int64
			for ctx.Err() == nil {
				m, err := f(ctx, i)
				if err != nil {
					if ctx.Err() == nil {
						mu.Lock()
						failed = errors.Join(failed, err)
						mu.Unlock()
					}
					break
				}
				moved += m
			}
			mu.Lock()
			total += moved
			mu.Unlock()
		})
	}
	wg.Wait()
	return total, failed
}
