package facade

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"math"
	"net/http"
	"slices"
	"unicode"
	"unicode/utf8"

	"dms/facade/strictjson"
	"dms/mapping/dms"
	"dms/tenancy"
	"dms/tenancy/audit"

	"github.com/go-chi/chi/v5"
)

// maxProjectName is how many characters the name of a project may have.
const maxProjectName = 64

type projectItem struct {
	ID     tenancy.ProjectID `json:"id"`
	Name   string            `json:"name"`
	Limits projectLimits     `json:"limits"`
}

type projectLimits struct {
	Queues         int   `json:"queues"`
	GroupsPerQueue int   `json:"groups_per_queue"`
	StoredBytes    int64 `json:"stored_bytes"`
}

type projectList struct {
	Projects []projectItem `json:"projects"`
	Next     string        `json:"next,omitempty"`
}

func newProjectItem(p tenancy.Project) projectItem {
	return projectItem{ID: p.ID, Name: p.Name, Limits: projectLimits(p.Limits)}
}

func (a *API) listProjects(c *call) error {
	size, err := c.number("limit", defaultPage, 1, audit.MaxPage, dms.BadParameters)
	if err != nil {
		return err
	}
	cursor, err := c.one("cursor")
	if err != nil {
		return err
	}
	all := a.o.Tenants.All()
	at := 0
	if cursor != "" {
		after, err := tenancy.ParseProjectID(cursor)
		if err != nil {
			return dms.Errorf(dms.BadParameters, "cursor is not one of this list")
		}
		var found bool
		at, found = slices.BinarySearchFunc(all, after, func(p tenancy.Project, id tenancy.ProjectID) int { return cmp.Compare(p.ID, id) })
		if found {
			at++
		}
	}
	list := projectList{Projects: []projectItem{}}
	for _, p := range all[at:min(at+size, len(all))] {
		list.Projects = append(list.Projects, newProjectItem(p))
	}
	if at+size < len(all) {
		list.Next = string(all[at+size-1].ID)
	}
	return c.encode(http.StatusOK, list)
}

func (a *API) showProject(c *call) error {
	id, err := c.operated()
	if err != nil {
		return err
	}
	p, err := a.o.Tenants.Project(id)
	if err != nil {
		return projectError(err)
	}
	return c.encode(http.StatusOK, newProjectItem(p))
}

func (a *API) createProject(c *call) error {
	p := tenancy.Project{Limits: a.o.ProjectLimits}
	if err := c.readProject(&p, true); err != nil {
		return err
	}
	if p.ID == "" {
		var b [16]byte
		rand.Read(b[:])
		p.ID = tenancy.ProjectID(hex.EncodeToString(b[:]))
	}
	eventOf(c.ctx()).object.Project = p.ID
	if err := a.o.Tenants.Create(c.ctx(), p); err != nil {
		return projectError(err)
	}
	return c.encode(http.StatusCreated, newProjectItem(p))
}

func (a *API) changeProject(c *call) error {
	id, err := c.operated()
	if err != nil {
		return err
	}
	p, err := a.o.Tenants.Change(c.ctx(), id, func(p tenancy.Project) (tenancy.Project, error) {
		err := c.readProject(&p, false)
		return p, err
	})
	if err != nil {
		return projectError(err)
	}
	return c.encode(http.StatusOK, newProjectItem(p))
}

// deleteProject may be called again until it succeeds, also when nothing is left.
func (a *API) deleteProject(c *call) error {
	id, err := c.operated()
	if err != nil {
		return err
	}
	if err := a.o.Tenants.Delete(c.ctx(), id); err != nil {
		return projectError(err)
	}
	return c.done()
}

// operated is the project that an operator's URL names.
func (c *call) operated() (tenancy.ProjectID, error) {
	id, err := tenancy.ParseProjectID(chi.URLParam(c.r, "project"))
	if err != nil {
		return "", dms.Wrap(dms.BadProjectID, err)
	}
	eventOf(c.ctx()).object.Project = id
	return id, nil
}

// projectError gives the errors of the list of projects their codes.
func projectError(err error) error {
	switch {
	case errors.Is(err, tenancy.ErrNoProject):
		return dms.Wrap(dms.ProjectNotFound, err)
	case errors.Is(err, tenancy.ErrExists):
		return dms.Wrap(dms.ProjectExists, err)
	case errors.Is(err, tenancy.ErrNoRoom):
		return &dms.Error{Code: dms.QuotaExceeded, Message: "the disks have no room for what the project is to get", Err: err}
	case errors.Is(err, tenancy.ErrUnavailable):
		return dms.Wrap(dms.Unavailable, err)
	}
	return err
}

// readProject reads the members of a project over what it is. Only a new one has an ID.
func (c *call) readProject(p *tenancy.Project, isNew bool) error {
	names := []string{"name", "limits"}
	if isNew {
		names = append(names, "id")
	}
	err := whole(c.body, names, func(r *strictjson.Reader, i int) (err error) {
		switch names[i] {
		case "id":
			var id string
			if id, err = r.Text("id"); err != nil {
				return err
			}
			if p.ID, err = tenancy.ParseProjectID(id); err != nil {
				return dms.Wrap(dms.BadProjectID, err)
			}
		case "name":
			if p.Name, err = r.Text("name"); err != nil {
				return err
			}
			if !isProjectName(p.Name) {
				return dms.Errorf(dms.BadManageBody, "name must have at most %d characters and no control characters", maxProjectName)
			}
		case "limits":
			return readLimits(r, &p.Limits)
		}
		return err
	})
	if err != nil {
		return manageError(err)
	}
	if err := p.Limits.Validate(); err != nil {
		return dms.Errorf(dms.BadManageBody, "%s", err)
	}
	return nil
}

func isProjectName(s string) bool {
	for _, r := range s {
		if unicode.IsControl(r) {
			return false
		}
	}
	return utf8.RuneCountInString(s) <= maxProjectName
}

func readLimits(r *strictjson.Reader, l *tenancy.Limits) error {
	names := []string{"queues", "groups_per_queue", "stored_bytes"}
	return r.Object("limits", names, func(i int) error {
		f, err := r.Float(names[i])
		if err != nil {
			return err
		}
		// Up to 2^53 a number is a whole one exactly.
		if f != math.Trunc(f) || f < 0 || f > 1<<53 {
			return dms.Errorf(dms.BadManageBody, "%s must be a whole number", names[i])
		}
		switch names[i] {
		case "stored_bytes":
			l.StoredBytes = int64(f)
		case "queues":
			l.Queues = int(min(f, math.MaxInt32))
		default:
			l.GroupsPerQueue = int(min(f, math.MaxInt32))
		}
		return nil
	})
}
