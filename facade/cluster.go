package facade

import (
	"context"
	"net/http"

	"dms/mapping/dms"
	"dms/monitor/cluster"
)

// Cluster tells operators how the storage of the service is.
type Cluster interface {
	// Cluster hears all nodes. It answers also when most of them are away.
	Cluster(context.Context) (cluster.State, error)
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
