package facade

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"dms/facade/strictjson"
	"dms/mapping/dms"
	"dms/tenancy"
	"dms/tenancy/accesskey"
	"dms/tenancy/audit"
)

// defaultOverlap is how long the secret before a rotation stays valid.
const defaultOverlap = 24 * time.Hour

type accessKeyList struct {
	AccessKeys []accessKeyItem `json:"access_keys"`
	Total      count           `json:"total"`
}

type accessKeyItem struct {
	ID          string            `json:"id"`
	Secret      string            `json:"secret,omitempty"` // only when it was made just now
	Description string            `json:"description"`
	Roles       []tenancy.Role    `json:"roles"`
	Queues      []queuePermission `json:"queues"`
	Created     *time.Time        `json:"created_at"`
	CreatedBy   string            `json:"created_by"`
	Expires     *time.Time        `json:"expires_at"`
	LastUsed    *time.Time        `json:"last_used_at"`
	Rotated     *time.Time        `json:"rotated_at"`
	OverlapEnds *time.Time        `json:"overlap_ends_at"`
	Deletable   bool              `json:"deletable"`
}

type queuePermission struct {
	Queue       string   `json:"queue_id"`
	Permissions []string `json:"permissions"`
}

func newAccessKeyItem(k tenancy.AccessKey, secret accesskey.Secret) accessKeyItem {
	item := accessKeyItem{
		ID: k.ID, Secret: string(secret), Description: k.Description, Roles: k.Roles, Queues: []queuePermission{},
		Created: timeOrNull(k.Created), CreatedBy: k.CreatedBy, Expires: timeOrNull(k.Expires), LastUsed: timeOrNull(k.LastUsed),
		Rotated: timeOrNull(k.Rotated), OverlapEnds: timeOrNull(k.OverlapEnd), Deletable: !k.Configured,
	}
	if item.Roles == nil {
		item.Roles = []tenancy.Role{}
	}
	for queue, permissions := range k.Queues {
		p := queuePermission{Queue: queue}
		for _, permission := range permissions {
			p.Permissions = append(p.Permissions, permission.String())
		}
		item.Queues = append(item.Queues, p)
	}
	slices.SortFunc(item.Queues, func(a, b queuePermission) int { return strings.Compare(a.Queue, b.Queue) })
	return item
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (a *API) listAccessKeys(c *call) error {
	keys, err := a.accessKeys(c)
	if err != nil {
		return err
	}
	list := accessKeyList{AccessKeys: make([]accessKeyItem, len(keys)), Total: count(len(keys))}
	for i, k := range keys {
		list.AccessKeys[i] = newAccessKeyItem(k, "")
	}
	return c.encode(http.StatusOK, list)
}

func (a *API) accessKeys(c *call) ([]tenancy.AccessKey, error) {
	if a.o.AccessKeys == nil {
		return nil, &dms.Error{Code: dms.NoSuchRoute}
	}
	keys, err := a.o.AccessKeys.List(c.ctx(), c.project.ID)
	if err != nil {
		return nil, unavailable(err)
	}
	return keys, nil
}

func (a *API) showAccessKey(c *call) error {
	id, err := param(c.r, "access_key")
	if err != nil {
		return err
	}
	keys, err := a.accessKeys(c)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if k.ID == id {
			return c.encode(http.StatusOK, newAccessKeyItem(k, ""))
		}
	}
	return &dms.Error{Code: dms.AccessKeyNotFound}
}

func (a *API) createAccessKey(c *call) error {
	if a.o.AccessKeys == nil {
		return &dms.Error{Code: dms.NoSuchRoute}
	}
	change, err := parseKeyChange(c.body)
	if err != nil {
		return manageError(err)
	}
	var n tenancy.NewAccessKey
	if change.Description != nil {
		n.Description = *change.Description
	}
	if change.Scope != nil {
		n.KeyScope = *change.Scope
	}
	if change.Expires != nil {
		n.Expires = *change.Expires
	}
	k, secret, err := a.o.AccessKeys.Create(c.ctx(), c.project, c.caller(), n)
	if err != nil {
		return unavailable(err)
	}
	eventOf(c.ctx()).object.AccessKey = k.ID
	return c.encode(http.StatusCreated, newAccessKeyItem(k, secret))
}

func (a *API) changeAccessKey(c *call) error {
	id, err := a.accessKeyID(c)
	if err != nil {
		return err
	}
	change, err := parseKeyChange(c.body)
	if err != nil {
		return manageError(err)
	}
	k, err := a.o.AccessKeys.Change(c.ctx(), c.project.ID, id, c.caller(), change)
	if err != nil {
		return unavailable(err)
	}
	return c.encode(http.StatusOK, newAccessKeyItem(k, ""))
}

func (a *API) rotateAccessKey(c *call) error {
	id, err := a.accessKeyID(c)
	if err != nil {
		return err
	}
	overlap, err := parseRotation(c.body)
	if err != nil {
		return manageError(err)
	}
	k, secret, err := a.o.AccessKeys.Rotate(c.ctx(), c.project.ID, id, c.caller(), overlap)
	if err != nil {
		return unavailable(err)
	}
	return c.encode(http.StatusOK, newAccessKeyItem(k, secret))
}

func (a *API) deleteAccessKey(c *call) error {
	id, err := a.accessKeyID(c)
	if err != nil {
		return err
	}
	if err := a.o.AccessKeys.Delete(c.ctx(), c.project.ID, id); err != nil {
		return unavailable(err)
	}
	return c.done()
}

func (a *API) accessKeyID(c *call) (string, error) {
	if a.o.AccessKeys == nil {
		return "", &dms.Error{Code: dms.NoSuchRoute}
	}
	id, err := param(c.r, "access_key")
	eventOf(c.ctx()).object.AccessKey = audit.Clip(id)
	return id, err
}

// parseKeyChange reads what is to be set of a key. Naming roles takes permissions on
// queues away, and the other way round.
func parseKeyChange(body []byte) (tenancy.KeyChange, error) {
	var k tenancy.KeyChange
	var scope tenancy.KeyScope
	scoped := false
	names := []string{"description", "roles", "queues", "expires_at"}
	err := whole(body, names, func(r *strictjson.Reader, i int) (err error) {
		switch names[i] {
		case "description":
			k.Description, err = optional(r, "description", r.Text)
		case "roles":
			scoped = true
			scope.Roles, err = parseRoles(r)
		case "queues":
			scoped = true
			scope.Queues, err = parseQueuePermissions(r)
		case "expires_at":
			k.Expires, err = parseKeyEnd(r)
		}
		return err
	})
	if scoped {
		k.Scope = &scope
	}
	return k, err
}

// parseKeyEnd reads a time; null means that there shall be no end.
func parseKeyEnd(r *strictjson.Reader) (*time.Time, error) {
	text, err := optional(r, "expires_at", r.Text)
	if err != nil || text == nil {
		return new(time.Time), err
	}
	at, err := time.Parse(time.RFC3339, *text)
	if err != nil || at.Year() > 9999 || at.IsZero() {
		return nil, dms.Errorf(dms.BadManageBody, "expires_at must be a time such as 2030-01-31T12:00:00Z, or null")
	}
	at = at.UTC().Truncate(time.Second)
	return &at, nil
}

func parseRoles(r *strictjson.Reader) (roles []tenancy.Role, err error) {
	if null, err := r.Null(); null || err != nil {
		return nil, err
	}
	err = r.Array("roles", func(int) error {
		name, err := r.Text("a role")
		if err != nil {
			return err
		}
		role, err := tenancy.ParseRole(name)
		if err != nil {
			return dms.Errorf(dms.BadManageBody, "roles must be some of viewer, producer, consumer, manager and operator")
		}
		if len(roles) == 5 {
			return dms.Errorf(dms.BadManageBody, "a role is given twice")
		}
		roles = append(roles, role)
		return nil
	})
	return roles, err
}

func parseQueuePermissions(r *strictjson.Reader) (map[string][]tenancy.Permission, error) {
	if null, err := r.Null(); null || err != nil {
		return nil, err
	}
	queues := make(map[string][]tenancy.Permission)
	err := r.Array("queues", func(int) error {
		if len(queues) == tenancy.MaxKeyQueues {
			return dms.Errorf(dms.BadManageBody, "a key can be limited to at most %d queues", tenancy.MaxKeyQueues)
		}
		queue, permissions, err := parseQueuePermission(r)
		if err != nil {
			return err
		}
		if _, twice := queues[queue]; twice {
			return dms.Errorf(dms.BadManageBody, "queue %s is given twice", queue)
		}
		queues[queue] = permissions
		return nil
	})
	return queues, err
}

func parseQueuePermission(r *strictjson.Reader) (queue string, permissions []tenancy.Permission, err error) {
	names := []string{"queue_id", "permissions"}
	err = r.Object("an entry of queues", names, func(i int) error {
		if names[i] == "queue_id" {
			text, err := r.Text("queue_id")
			if err != nil {
				return err
			}
			id, err := dms.ParseQueueID(text)
			queue = string(id)
			return err
		}
		return r.Array("permissions", func(int) error {
			name, err := r.Text("a permission")
			if err != nil {
				return err
			}
			p, err := tenancy.ParseQueuePermission(name)
			if err != nil || len(permissions) == 4 {
				return dms.Errorf(dms.BadManageBody, "permissions must be some of observe, produce, consume, manage and inspect, each once")
			}
			permissions = append(permissions, p)
			return nil
		})
	})
	if err == nil && queue == "" {
		err = dms.Errorf(dms.BadManageBody, "an entry of queues has no queue_id")
	}
	return queue, permissions, err
}

// parseRotation reads the optional body of a rotation.
func parseRotation(body []byte) (time.Duration, error) {
	overlap := defaultOverlap
	if len(body) == 0 {
		return overlap, nil
	}
	err := whole(body, []string{"overlap_seconds"}, func(r *strictjson.Reader, _ int) error {
		n, err := optional(r, "overlap_seconds", func(what string) (int, error) {
			return wholeNumber(r, what, dms.BadManageBody)
		})
		if n != nil {
			overlap = time.Duration(*n) * time.Second
		}
		return err
	})
	return overlap, err
}
