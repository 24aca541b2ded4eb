package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"dms/tenancy"
	"dms/tenancy/audit"
)

// ledger keeps what it is told, but for projects that the service has not.
type ledger struct{ lines []string }

func (l *ledger) Write(_ context.Context, project tenancy.ProjectID, r audit.Record) error {
	if project == "gone" {
		return fmt.Errorf("write: %w", tenancy.ErrNoProject)
	}
	l.lines = append(l.lines, fmt.Sprint(project, " ", r.Kind, " ", r.Action, " ", r.Actor.Subject, " ", r.Source, " ", r.RequestID))
	if project == "full" {
		return errors.New("later")
	}
	return nil
}

func (l *ledger) Note(project tenancy.ProjectID, kind audit.Kind, n audit.Count) {
	l.lines = append(l.lines, fmt.Sprint(project, " ", kind, " ", n.Action, " ", n.Actor.Subject, " ", n.Source, " ", n.Code))
}

func TestWhoComesAndGoesIsRecordedWhereItConcernsSomebody(t *testing.T) {
	l := &ledger{}
	c := newConsole(t, func(o *Options) { o.Trail = l })
	ctx := audit.WithOrigin(t.Context(), audit.Origin{Source: "192.0.2.1", Network: "192.0.2.0/24", RequestID: "r1"})
	c.record(ctx, signIn, tenancy.Identity{Subject: "ada", Grants: map[tenancy.ProjectID]tenancy.Grant{"shop": {}, "full": {}, "gone": {}}})
	r := httptest.NewRequest(http.MethodGet, callbackPath, nil).WithContext(ctx)
	c.ServeHTTP(httptest.NewRecorder(), r) // nobody has begun this sign-in
	c.failed(httptest.NewRecorder(), r, noProject{tenancy.Identity{Subject: "eve"}}, Path)
	c.failed(httptest.NewRecorder(), r, errors.New("the provider is away"), Path)
	want := []string{
		"full change signIn ada 192.0.2.1 r1", "shop change signIn ada 192.0.2.1 r1",
		string(audit.Service) + " refusal signIn  192.0.2.0/24 refused", string(audit.Service) + " refusal signIn eve 192.0.2.0/24 no_project",
	}
	if !slices.Equal(l.lines, want) {
		t.Errorf("recorded\n%q, want\n%q", l.lines, want)
	}
}
