package facade

import (
	"net/http"

	"dms/facade/strictjson"
	"dms/mapping/dms"
)

type moveResult struct {
	DryRun   bool   `json:"dry_run"`
	From     uint64 `json:"from_sequence"`
	To       uint64 `json:"to_sequence"`
	Skipped  int64  `json:"skipped"`
	Repeated int64  `json:"repeated"`
	Exact    bool   `json:"exact"`
}

// moveGroup makes a group go on reading somewhere else, or says what that would do.
func (a *API) moveGroup(c *call) error {
	var dryRun bool
	var p dms.Position
	names := append(positionNames(), "dry_run")
	err := whole(c.body, names, func(r *strictjson.Reader, i int) (err error) {
		if names[i] == "dry_run" {
			dryRun, err = optionalFlag(r, "dry_run")
			return err
		}
		return readPosition(r, names[i], &p)
	})
	if err == nil {
		err = p.Validate()
	}
	if err != nil {
		return manageError(err)
	}
	m, err := a.o.Workbench.MoveGroup(c.ctx(), c.group, p, dryRun)
	if err != nil {
		return err
	}
	return c.encode(http.StatusOK, moveResult{
		DryRun: dryRun, From: m.From, To: m.To, Skipped: m.Skipped, Repeated: m.Repeated, Exact: m.Exact,
	})
}

func positionNames() []string { return []string{"to", "time", "sequence"} }

// readPosition reads one member of a position.
func readPosition(r *strictjson.Reader, name string, p *dms.Position) error {
	if null, err := r.Null(); null || err != nil {
		return err
	}
	switch name {
	case "to":
		to, err := r.Text("to")
		p.To = dms.PositionKind(to)
		return err
	case "time":
		text, err := r.Text("time")
		if err == nil {
			p.Time, err = parseMoment("time", text, dms.BadManageBody)
		}
		return err
	}
	n, err := wholeOf(r, "sequence", 1, largestNumber)
	p.Sequence = uint64(n)
	return err
}
