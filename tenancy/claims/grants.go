package claims

import (
	"errors"
	"fmt"
	"slices"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"dms/tenancy"
)

// collection gathers what an expression says about projects.
type collection struct {
	grants map[tenancy.ProjectID]tenancy.Grant
	common func() ([]tenancy.Role, error) // for projects without roles of their own
}

func (g *collection) addList(list traits.Lister) error {
	return each(list, func(i int, v ref.Val) error {
		id, name, roles, err := g.entry(v)
		if err == nil {
			err = g.add(id, name, roles)
		}
		if err != nil {
			return fmt.Errorf("entry %d: %w", i+1, err)
		}
		return nil
	})
}

func (g *collection) addMap(projects traits.Mapper) error {
	return each(projects, func(_ int, key ref.Val) error {
		id, ok := key.(types.String)
		if !ok {
			return errors.New("a key is not a string")
		}
		roles, err := readRoles(projects.Get(key))
		if err == nil {
			err = g.add(string(id), "", roles)
		}
		return err
	})
}

// entry reads an element of the list: an id, or a map with nothing but id, name, roles.
func (g *collection) entry(v ref.Val) (id, name string, roles []tenancy.Role, err error) {
	if s, ok := v.(types.String); ok {
		roles, err = g.common()
		return string(s), "", roles, err
	}
	entry, ok := v.(traits.Mapper)
	if !ok {
		return "", "", nil, errors.New("neither a string nor a map")
	}
	own := false
	err = each(entry, func(_ int, key ref.Val) error {
		var err error
		switch key {
		case types.String("id"):
			id, err = readText(entry.Get(key))
		case types.String("name"):
			name, err = readText(entry.Get(key))
		case types.String("roles"):
			own = true
			roles, err = readRoles(entry.Get(key))
		default:
			err = errors.New("a member is none of id, name, roles")
		}
		return err
	})
	if err == nil && !own {
		roles, err = g.common()
	}
	return id, name, roles, err
}

// add adds a project, or roles to it.
func (g *collection) add(text, name string, roles []tenancy.Role) error {
	id, err := tenancy.ParseProjectID(text)
	if err != nil {
		return err
	}
	grant := g.grants[id]
	if grant.Name == "" {
		grant.Name = name
	}
	for _, r := range roles {
		if !slices.Contains(grant.Roles, r) {
			grant.Roles = append(grant.Roles, r)
		}
	}
	g.grants[id] = grant
	return nil
}

func readText(v ref.Val) (string, error) {
	s, ok := v.(types.String)
	if !ok {
		return "", errors.New("id or name is not a string")
	}
	return string(s), checkText(string(s))
}

func readRoles(v ref.Val) ([]tenancy.Role, error) {
	list, ok := v.(traits.Lister)
	if !ok {
		return nil, errors.New("roles are not a list")
	}
	var roles []tenancy.Role
	err := each(list, func(_ int, v ref.Val) error {
		s, ok := v.(types.String)
		if !ok {
			return errors.New("a role is not a string")
		}
		// The name is a claim of somebody's, and not for the log.
		r, err := tenancy.ParseRole(string(s))
		if err != nil {
			return errors.New("a role is none of viewer, producer, consumer, manager, operator")
		}
		roles = append(roles, r)
		return nil
	})
	return roles, err
}
