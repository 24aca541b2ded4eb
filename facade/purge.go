package facade

import (
	"net/http"

	"dms/facade/strictjson"
	"dms/mapping/dms"
)

type purged struct {
	Source   dms.Source `json:"source"`
	DryRun   bool       `json:"dry_run"`
	Messages int64      `json:"messages"`
}

// purgeQueue throws messages away, or says how many it would.
func (a *API) purgeQueue(c *call) error {
	p, err := parsePurge(c.body)
	if err != nil {
		return manageError(err)
	}
	n, err := a.o.Workbench.Purge(c.ctx(), c.queue, p)
	if err != nil {
		return err
	}
	return c.encode(http.StatusOK, purged{Source: p.Source, DryRun: p.DryRun, Messages: n})
}

func parsePurge(body []byte) (p dms.Purge, err error) {
	names := []string{"source", "group_id", "dry_run"}
	err = whole(body, names, func(r *strictjson.Reader, i int) (err error) {
		switch names[i] {
		case "source":
			var source string
			source, err = r.Text("source")
			p.Source = dms.Source(source)
		case "group_id":
			p.Group, err = optionalGroup(r, "group_id")
		case "dry_run":
			p.DryRun, err = optionalFlag(r, "dry_run")
		}
		return err
	})
	if err != nil {
		return p, err
	}
	return p, p.Validate()
}
