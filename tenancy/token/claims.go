package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"dms/tenancy"
)

// claims is the content of a token. Names are short because every request carries it.
type claims struct {
	ID          string            `json:"jti"` // random, for audit
	Issuer      string            `json:"iss"`
	Subject     string            `json:"sub"`
	Name        string            `json:"name,omitempty"`
	KeyID       string            `json:"key,omitempty"`
	Project     tenancy.ProjectID `json:"prj"`
	ProjectName string            `json:"prn,omitempty"`
	Roles       []tenancy.Role    `json:"rol"`
	Certificate string            `json:"x5t,omitempty"` // SHA-256 of the client certificate it is bound to
	Issued      int64             `json:"iat"`           // Unix seconds
	Expires     int64             `json:"exp"`           // Unix seconds
}

func encode(id tenancy.Identity, issued, expires time.Time) ([]byte, error) {
	if id.Subject == "" || id.Issuer == "" {
		return nil, errors.New("the identity has no issuer or no subject")
	}
	if len(id.Grants) != 1 {
		return nil, fmt.Errorf("the identity holds %d projects, want 1", len(id.Grants))
	}
	random, err := uuid.NewRandom()
	if err != nil {
		return nil, fmt.Errorf("token id: %w", err)
	}
	c := claims{
		ID: random.String(), Issuer: id.Issuer, Subject: id.Subject, Name: id.Name, KeyID: id.KeyID,
		Certificate: id.Certificate.String(), Issued: issued.Unix(), Expires: expires.Unix(),
	}
	for project, grant := range id.Grants {
		c.Project, c.ProjectName, c.Roles = project, grant.Name, grant.Roles
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	return json.Marshal(c)
}

func decode(plain []byte) (tenancy.Identity, time.Time, error) {
	var c claims
	d := json.NewDecoder(bytes.NewReader(plain))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return tenancy.Identity{}, time.Time{}, fmt.Errorf("claims: %w", err)
	}
	if err := c.check(); err != nil {
		return tenancy.Identity{}, time.Time{}, err
	}
	id := tenancy.Identity{
		Issuer: c.Issuer, Subject: c.Subject, Name: c.Name, KeyID: c.KeyID,
		Grants: map[tenancy.ProjectID]tenancy.Grant{c.Project: {Name: c.ProjectName, Roles: c.Roles}},
	}
	if c.Certificate != "" {
		var err error
		if id.Certificate, err = tenancy.ParseThumbprint(c.Certificate); err != nil {
			return tenancy.Identity{}, time.Time{}, err
		}
	}
	return id, time.Unix(c.Expires, 0).UTC(), nil
}

// check holds for what we seal and, again, for what we open: a token of a later version
// of the service may know roles that this one does not.
func (c claims) check() error {
	if _, err := tenancy.ParseProjectID(string(c.Project)); err != nil {
		return err
	}
	for _, r := range c.Roles {
		if _, err := tenancy.ParseRole(string(r)); err != nil {
			return err
		}
	}
	if c.Subject == "" || c.Issuer == "" {
		return errors.New("no issuer or no subject")
	}
	if life := c.Expires - c.Issued; life < 0 || life > int64(MaxLife/time.Second) {
		return fmt.Errorf("life of %d s is out of range", life)
	}
	return nil
}
