package claims

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"unicode"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"dms/tenancy"
)

const (
	maxText     = 255 // bytes of a subject or a name
	maxProjects = 1000
)

// Identity evaluates the expressions over the claims of a token, a JSON object in which
// no name occurs twice. Anything that is not as it should be is an error, never half an
// identity. The issuer is left to the caller to fill in.
func (m *Mapping) Identity(payload []byte) (tenancy.Identity, error) {
	claims, err := parse(payload)
	if err != nil {
		return tenancy.Identity{}, err
	}
	for _, r := range m.rules {
		v, err := r.evaluate(claims)
		if err != nil {
			return tenancy.Identity{}, err
		}
		if v != types.True {
			return tenancy.Identity{}, fmt.Errorf("%s: %s", r.field, r.message)
		}
	}
	var id tenancy.Identity
	if id.Subject, err = m.subject.text(claims); err != nil {
		return tenancy.Identity{}, err
	}
	if id.Subject == "" {
		return tenancy.Identity{}, errors.New("no subject")
	}
	if id.Name, err = m.name.text(claims); err != nil {
		return tenancy.Identity{}, err
	}
	if id.Grants, err = m.grants(claims); err != nil {
		return tenancy.Identity{}, err
	}
	return id, nil
}

// parse reads claims. Whole numbers become integers, as they look; JSON itself knows
// only one kind of number.
func parse(payload []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	var claims map[string]any
	if err := d.Decode(&claims); err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	if claims == nil {
		return nil, errors.New("claims: not an object")
	}
	for name, v := range claims {
		n, err := numbers(v)
		if err != nil {
			return nil, fmt.Errorf("claims: %w", err)
		}
		claims[name] = n
	}
	return claims, nil
}

func numbers(v any) (_ any, err error) {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, nil
		}
		f, err := v.Float64()
		if err != nil {
			return nil, errors.New("a number is out of range")
		}
		return f, nil
	case []any:
		for i := range v {
			if v[i], err = numbers(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for name := range v {
			if v[name], err = numbers(v[name]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// text evaluates an expression that results in a text for people or logs.
func (x *expression) text(claims map[string]any) (string, error) {
	v, err := x.evaluate(claims)
	if err != nil {
		return "", err
	}
	s, ok := v.(types.String)
	if !ok {
		return "", fmt.Errorf("%s: result is not a string", x.field)
	}
	if err := checkText(string(s)); err != nil {
		return "", fmt.Errorf("%s: %w", x.field, err)
	}
	return string(s), nil
}

func checkText(s string) error {
	if len(s) > maxText {
		return fmt.Errorf("result has %d bytes, more than %d", len(s), maxText)
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return errors.New("result has a control character")
		}
	}
	return nil
}

// grants evaluates the projects, and the roles for those without their own.
func (m *Mapping) grants(claims map[string]any) (map[tenancy.ProjectID]tenancy.Grant, error) {
	v, err := m.projects.evaluate(claims)
	if err != nil {
		return nil, err
	}
	// Only evaluated if some project needs it, and once.
	common := sync.OnceValues(func() ([]tenancy.Role, error) {
		v, err := m.roles.evaluate(claims)
		if err != nil {
			return nil, err
		}
		roles, err := readRoles(v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.roles.field, err)
		}
		return roles, nil
	})
	g := collection{grants: map[tenancy.ProjectID]tenancy.Grant{}, common: common}
	switch v := v.(type) {
	case traits.Lister:
		err = g.addList(v)
	case traits.Mapper:
		err = g.addMap(v)
	default:
		err = errors.New("result is neither a list nor a map")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.projects.field, err)
	}
	return g.grants, nil
}

// each calls f with the elements of a list or the keys of a map.
func each(v ref.Val, f func(i int, v ref.Val) error) error {
	iterable, ok := v.(traits.Iterable)
	if !ok {
		return errors.New("result is neither a list nor a map")
	}
	i := 0
	for it := iterable.Iterator(); it.HasNext() == types.True; i++ {
		if i == maxProjects {
			return fmt.Errorf("more than %d entries", maxProjects)
		}
		if err := f(i, it.Next()); err != nil {
			return err
		}
	}
	return nil
}
