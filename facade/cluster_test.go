package facade_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"dms/facade"
	"dms/monitor/cluster"
)

// fakeCluster is one of two nodes that are left.
type fakeCluster struct{ err error }

func (f fakeCluster) Cluster(context.Context) (cluster.State, error) {
	return cluster.Sum([]string{"n1", "n2", "n3"}, []cluster.Node{
		{Name: "n1", Version: "v", Ready: true, Members: []cluster.Member{{Name: "n1", Up: true, Sees: "n1"}}, Findings: []cluster.Finding{{Member: "n1", Stream: "q_1", What: "a hole", State: "found"}}},
		{Name: "n2", Version: "v", Why: "draining", Members: []cluster.Member{{Name: "n2", Up: true, Sees: "n1"}}},
	}, false), f.err
}

func (f fakeCluster) RemoveMember(_ context.Context, name string) error {
	if f.err == nil && name != "n3" {
		return cluster.ErrNoMember
	}
	return f.err
}

func TestOperatorsRemoveMembersThatAreLost(t *testing.T) {
	for _, c := range []struct {
		member string
		err    error
		want   int
	}{
		{"n3", nil, 204}, {"n9", nil, 404}, {"n3", fmt.Errorf("%w: it runs", cluster.ErrNotNow), 400}, {"n3", errors.New("secret detail"), 503},
	} {
		s := serve(t, stocked(), func(o *facade.Options, _ *http.Server) { o.Cluster = fakeCluster{c.err} })
		got := s.do("DELETE", "/admin/v1/cluster/members/"+c.member, "", "X-Auth-Token", "operator")
		if got.status != c.want || strings.Contains(got.body, "secret") || c.want == 400 && !strings.Contains(got.body, "it runs") {
			t.Errorf("%s, %v: %d %s, want %d", c.member, c.err, got.status, got.body, c.want)
		}
	}
	s := serve(t, stocked(), func(o *facade.Options, _ *http.Server) { o.Cluster = nil })
	if got := s.do("DELETE", "/admin/v1/cluster/members/n3", "", "X-Auth-Token", "operator"); got.status != 404 {
		t.Errorf("without a cluster: %d", got.status)
	}
}

func TestOperatorsAreToldHowTheClusterIs(t *testing.T) {
	s := serve(t, stocked(), nil)
	got := s.do("GET", "/admin/v1/cluster", "", "X-Auth-Token", "operator")
	for _, want := range []string{`"verdict":"2 of 3, can lose none"`, `"silent_members":["n3"]`, `"reason":"draining"`, `"what":"a hole"`} {
		if got.status != 200 || !strings.Contains(got.body, want) {
			t.Errorf("%d without %s: %s", got.status, want, got.body)
		}
	}
	if got := s.do("GET", "/admin/v1/cluster", ""); got.status != 403 {
		t.Errorf("a manager gets %d, want 403", got.status)
	}
	for want, change := range map[int]func(*facade.Options, *http.Server){
		404: func(o *facade.Options, _ *http.Server) { o.Cluster = nil },
		503: func(o *facade.Options, _ *http.Server) { o.Cluster = fakeCluster{errors.New("secret detail")} },
	} {
		s := serve(t, stocked(), change)
		if got := s.do("GET", "/admin/v1/cluster", "", "X-Auth-Token", "operator"); got.status != want || strings.Contains(got.body, "secret") {
			t.Errorf("%d %s, want %d", got.status, got.body, want)
		}
	}
}

// While the disks are full what stores is refused, and what consumes, settles and deletes
// goes on.
func TestWithoutRoomOnlyWhatStoresIsRefused(t *testing.T) {
	var roomy atomic.Bool
	s := serve(t, stocked(), func(o *facade.Options, _ *http.Server) {
		o.Room = func() error {
			if roomy.Load() {
				return nil
			}
			return errors.New("secret detail")
		}
	})
	const (
		queue = "/v2/" + project + "/queues/" + queueID
		group = queue + "/groups/" + groupID
	)
	stores := []struct{ method, path, body, token string }{
		{"POST", queue + "/messages", `{"messages":[{"body":"x"}]}`, "manager"},
		{"POST", "/v2/" + project + "/queues", `{"name":"orders"}`, "manager"},
		{"POST", queue + "/groups", `{"groups":[{"name":"g1"}]}`, "manager"},
		{"POST", "/admin/v1/projects", `{"name":"x"}`, "operator"},
	}
	for _, c := range stores {
		got := s.do(c.method, c.path, c.body, "X-Auth-Token", c.token)
		if got.status != 503 || got.header.Get("Retry-After") != "5" || !strings.Contains(got.body, "nearly full") || strings.Contains(got.body, "secret") {
			t.Errorf("%s %s without room: %d, Retry-After %q, %s", c.method, c.path, got.status, got.header.Get("Retry-After"), got.body)
		}
	}
	for _, c := range []struct{ method, path, body string }{
		{"GET", group + "/messages", ``},
		{"POST", group + "/ack", `{"message":[{"handler":"h","status":"success"}]}`},
		{"GET", queue, ``},
		{"POST", queue + "/purge", `{"source":"queue"}`},
		{"DELETE", group, ``},
		{"DELETE", queue, ``},
	} {
		if got := s.do(c.method, c.path, c.body); got.status >= 300 {
			t.Errorf("%s %s without room: %d %s", c.method, c.path, got.status, got.body)
		}
	}
	roomy.Store(true)
	for _, c := range stores {
		if got := s.do(c.method, c.path, c.body, "X-Auth-Token", c.token); got.status >= 300 {
			t.Errorf("%s %s with room again: %d %s", c.method, c.path, got.status, got.body)
		}
	}
}
