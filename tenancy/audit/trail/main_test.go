package trail

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"dms/deploy/engine/enginetest"
	"dms/tenancy"
	"dms/tenancy/audit"

	"github.com/nats-io/nats.go"
)

var cluster *enginetest.Cluster

func TestMain(m *testing.M) { enginetest.Main(m, &cluster) }

// newProject provisions a project for one test.
func newProject(t testing.TB) tenancy.ProjectID {
	t.Helper()
	p := enginetest.NewProject()
	if err := cluster.Accounts().Provision(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	return p.ID
}

// trailOf opens a trail as node i, from 0, does; the test's end closes it.
func trailOf(t testing.TB, i int, change func(*Options)) *Trail {
	t.Helper()
	o := Options{
		Connect: func(ctx context.Context, id tenancy.ProjectID) (*nats.Conn, error) {
			return cluster.AccountsVia(i).Connect(ctx, id)
		},
		Secret: bytes.Repeat([]byte{7}, 32), Node: fmt.Sprintf("n%d", i+1),
	}
	if change != nil {
		change(&o)
	}
	tr, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The test's own context has ended when clean-ups run.
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		tr.Close(ctx)
	})
	return tr
}

func change(i int) audit.Record {
	return audit.Record{
		Time: time.Unix(int64(1_000_000+i), 0).UTC(), Kind: audit.Change, Actor: audit.Actor{Subject: fmt.Sprint("user", i%2)},
		Action: fmt.Sprint("action", i%3), Status: 204, RequestID: fmt.Sprint("request-", i),
	}
}

// all returns the whole trail, oldest first, and fails unless its chain holds.
func all(t testing.TB, tr *Trail, project tenancy.ProjectID) []audit.Entry {
	t.Helper()
	report, err := tr.Verify(t.Context(), project)
	if err != nil {
		t.Fatal(err)
	}
	if report.Broken != nil {
		t.Fatalf("the chain is broken: %+v", report.Broken)
	}
	var entries []audit.Entry
	q := audit.Query{OldestFirst: true, Limit: audit.MaxPage}
	for {
		page, err := tr.Page(t.Context(), project, q)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, page.Entries...)
		if page.Next == 0 {
			break
		}
		q.After = page.Next
	}
	if report.Records != int64(len(entries)) {
		t.Fatalf("%d records were verified and %d read", report.Records, len(entries))
	}
	return entries
}
