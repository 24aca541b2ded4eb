package console

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"

	"dms/tenancy"
	"dms/tenancy/audit"
)

// What the trails call that somebody has come or gone.
const (
	signIn  = "signIn"
	signOut = "signOut"
)

const (
	// recordWithin is how long a person waits for a record at most; it is written later if
	// that was too short.
	recordWithin = 5 * time.Second
	// mostTrails bounds the projects in which one sign-in is recorded.
	mostTrails = 50
)

// Trail keeps who came and who went.
type Trail interface {
	// Write returns when the record is on disk. The error wraps tenancy.ErrNoProject for a
	// project that the service has not, and then nothing is written.
	Write(context.Context, tenancy.ProjectID, audit.Record) error
	// Note counts without waiting.
	Note(tenancy.ProjectID, audit.Kind, audit.Count)
}

// record writes what somebody did into the trails of the projects that are open to them.
// Nobody is kept out, or in, because it cannot be written now.
func (c *Console) record(ctx context.Context, action string, id tenancy.Identity) {
	if c.o.Trail == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordWithin)
	defer cancel()
	from := audit.OriginOf(ctx)
	r := audit.Record{
		Time: c.o.Now().UTC(), Kind: audit.Change, Actor: audit.ActorOf(id), Source: from.Source,
		Action: action, Status: http.StatusOK, RequestID: from.RequestID,
	}
	projects := slices.Sorted(maps.Keys(id.Grants))
	for _, project := range projects[:min(len(projects), mostTrails)] {
		if err := c.o.Trail.Write(ctx, project, r); err != nil && !errors.Is(err, tenancy.ErrNoProject) {
			c.o.Log.LogAttrs(ctx, slog.LevelWarn, "a record of the console's is written later only", slog.String("action", action), slog.Any("err", err))
		}
	}
}

// refusal counts a sign-in that was refused. Whoever was refused has no project.
func (c *Console) refusal(ctx context.Context, code string, id tenancy.Identity) {
	if c.o.Trail == nil {
		return
	}
	c.o.Trail.Note(audit.Service, audit.Refusal, audit.Count{
		Action: signIn, Actor: audit.ActorOf(id), Source: audit.OriginOf(ctx).Network, Code: code,
	})
}
