package facade

import "net/http"

// maxQueues is the largest quota of queues that an operator can give to a project.
const maxQueues = 500

func (a *API) showQuotas(c *call) error {
	queues, err := a.o.Queues.Queues(c.ctx(), c.project.ID)
	if err != nil {
		return err
	}
	var list quotaList
	list.Quotas.Resources = []quotaItem{{
		Type: "queue", Quota: count(c.project.Limits.Queues), Used: count(len(queues)), Min: 0, Max: maxQueues,
	}}
	return c.encode(http.StatusOK, list)
}
