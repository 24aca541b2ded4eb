package facade

import (
	"context"
	"errors"
	"net/http"

	"dms/mapping/dms"
	"dms/monitor/cluster"

	"github.com/go-chi/chi/v5"
)

// Cluster tells operators how the storage of the service is.
type Cluster interface {
	// Cluster hears all nodes. It answers also when most of them are away.
	Cluster(context.Context) (cluster.State, error)
	// RemoveMember forgets a member that is lost for good, and has what it held stored by the
	// others. The error wraps cluster.ErrNoMember or cluster.ErrNotNow if that cannot be.
	RemoveMember(ctx context.Context, name string) error
}

func (a *API) showCluster(c *call) error {
	if a.o.Cluster == nil {
		return &dms.Error{Code: dms.NoSuchRoute}
	}
	s, err := a.o.Cluster.Cluster(c.ctx())
	if err != nil {
		return dms.Wrap(dms.Unavailable, err)
	}
	return c.encode(http.StatusOK, s)
}

func (a *API) removeMember(c *call) error {
	if a.o.Cluster == nil {
		return &dms.Error{Code: dms.NoSuchRoute}
	}
	name := chi.URLParam(c.r, "member")
	eventOf(c.ctx()).object.Member = name
	err := a.o.Cluster.RemoveMember(c.ctx(), name)
	switch {
	case errors.Is(err, cluster.ErrNoMember):
		return &dms.Error{Code: dms.NoSuchRoute, Message: "the cluster has no member of this name", Err: err}
	case errors.Is(err, cluster.ErrNotNow):
		return dms.Errorf(dms.BadParameters, "%s", err)
	case err != nil:
		return dms.Wrap(dms.Unavailable, err)
	}
	return c.done()
}
