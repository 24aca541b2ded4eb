package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"dms/tenancy"
)

// claims is the content of a token. Names are short because every request carries it.
type claims struct {
	ID          string              `json:"jti"` // random, for audit and revocation
	Origins     []string            `json:"org,omitempty"`
	Issuer      string              `json:"iss"`
	Subject     string              `json:"sub"`
	Name        string              `json:"name,omitempty"`
	KeyID       string              `json:"key,omitempty"`
	Generation  int                 `json:"gen,omitempty"` // of the key
	Unscoped    bool                `json:"uns,omitempty"` // the token is for no project
	Project     tenancy.ProjectID   `json:"prj,omitempty"`
	ProjectName string              `json:"prn,omitempty"`
	Roles       []tenancy.Role      `json:"rol,omitempty"`
	Queues      map[string][]string `json:"que,omitempty"`
	Offers      []offer             `json:"off,omitempty"` // only if unscoped
	Certificate string              `json:"x5t,omitempty"` // SHA-256 of the client certificate it is bound to
	Issued      int64               `json:"iat"`           // Unix seconds
	Expires     int64               `json:"exp"`           // Unix seconds
}

// offer is a project that the token can be exchanged for.
type offer struct {
	Project tenancy.ProjectID   `json:"p"`
	Name    string              `json:"n,omitempty"`
	Roles   []tenancy.Role      `json:"r"`
	Queues  map[string][]string `json:"q,omitempty"`
}

func encode(id tenancy.Identity, issued, expires time.Time) ([]byte, error) {
	if id.Subject == "" || id.Issuer == "" {
		return nil, errors.New("the identity has no issuer or no subject")
	}
	unscoped := len(id.Grants) == 0 && id.Offers != nil
	if len(id.Origins) > maxOrigins {
		return nil, ErrTooOften
	}
	if len(id.Grants) != 1 && !unscoped {
		return nil, fmt.Errorf("the identity holds %d projects, want 1", len(id.Grants))
	}
	random, err := uuid.NewRandom()
	if err != nil {
		return nil, fmt.Errorf("token id: %w", err)
	}
	c := claims{
		ID: random.String(), Origins: id.Origins, Issuer: id.Issuer, Subject: id.Subject, Name: id.Name,
		KeyID: id.KeyID, Generation: id.KeyGeneration, Unscoped: unscoped,
		Certificate: id.Certificate.String(), Issued: issued.Unix(), Expires: expires.Unix(),
	}
	for project, grant := range id.Grants {
		c.Project, c.ProjectName, c.Roles, c.Queues = project, grant.Name, grant.Roles, names(grant.Queues)
	}
	if unscoped {
		for project, grant := range id.Offers {
			c.Offers = append(c.Offers, offer{project, grant.Name, grant.Roles, names(grant.Queues)})
		}
		slices.SortFunc(c.Offers, func(a, b offer) int { return bytes.Compare([]byte(a.Project), []byte(b.Project)) })
	}
	if _, err := c.read(); err != nil {
		return nil, err
	}
	return json.Marshal(c)
}

func names(queues map[string][]tenancy.Permission) map[string][]string {
	if len(queues) == 0 {
		return nil
	}
	out := make(map[string][]string, len(queues))
	for queue, permissions := range queues {
		for _, p := range permissions {
			out[queue] = append(out[queue], p.String())
		}
	}
	return out
}

func decode(plain []byte) (Opened, error) {
	var c claims
	d := json.NewDecoder(bytes.NewReader(plain))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return Opened{}, fmt.Errorf("claims: %w", err)
	}
	return c.read()
}

// read checks what we seal and, again, what we open: a token of a later version of the
// service may know roles that this one does not.
func (c claims) read() (Opened, error) {
	if c.Subject == "" || c.Issuer == "" {
		return Opened{}, errors.New("no issuer or no subject")
	}
	if life := c.Expires - c.Issued; life < 0 || life > int64(MaxLife/time.Second) {
		return Opened{}, fmt.Errorf("life of %d s is out of range", life)
	}
	id := tenancy.Identity{
		Issuer: c.Issuer, Subject: c.Subject, Name: c.Name, KeyID: c.KeyID, KeyGeneration: c.Generation, Origins: c.Origins,
	}
	if c.Certificate != "" {
		var err error
		if id.Certificate, err = tenancy.ParseThumbprint(c.Certificate); err != nil {
			return Opened{}, err
		}
	}
	if c.Unscoped {
		if c.Project != "" || len(c.Roles) > 0 || len(c.Queues) > 0 {
			return Opened{}, errors.New("a token for no project has one")
		}
		id.Offers = make(map[tenancy.ProjectID]tenancy.Grant, len(c.Offers))
		for _, o := range c.Offers {
			grant, err := readGrant(o)
			if err != nil {
				return Opened{}, err
			}
			if _, ok := id.Offers[o.Project]; ok {
				return Opened{}, fmt.Errorf("project %s is offered twice", o.Project)
			}
			id.Offers[o.Project] = grant
		}
	} else {
		grant, err := readGrant(offer{c.Project, c.ProjectName, c.Roles, c.Queues})
		if err != nil {
			return Opened{}, err
		}
		if len(c.Offers) > 0 {
			return Opened{}, errors.New("a token of a project offers others")
		}
		id.Grants = map[tenancy.ProjectID]tenancy.Grant{c.Project: grant}
	}
	return Opened{
		ID: c.ID, Identity: id,
		Issued: time.Unix(c.Issued, 0).UTC(), Expires: time.Unix(c.Expires, 0).UTC(),
	}, nil
}

func readGrant(o offer) (tenancy.Grant, error) {
	if _, err := tenancy.ParseProjectID(string(o.Project)); err != nil {
		return tenancy.Grant{}, err
	}
	for _, r := range o.Roles {
		if _, err := tenancy.ParseRole(string(r)); err != nil {
			return tenancy.Grant{}, err
		}
	}
	grant := tenancy.Grant{Name: o.Name, Roles: o.Roles}
	if len(o.Queues) > 0 {
		grant.Queues = make(map[string][]tenancy.Permission, len(o.Queues))
	}
	for queue, permissions := range o.Queues {
		for _, name := range permissions {
			p, err := tenancy.ParseQueuePermission(name)
			if err != nil {
				return tenancy.Grant{}, err
			}
			grant.Queues[queue] = append(grant.Queues[queue], p)
		}
	}
	return grant, nil
}
