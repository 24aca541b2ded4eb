package oidc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"dms/tenancy"
)

// readGrants reads the projects of a token, in one of two shapes:
//
//	[{"id": "<project>", "name": "<for people>", "roles": ["manager"]}]
//	{"<project>": ["manager"]}
//
// No claim at all means no projects; anything malformed is an error, never half a claim.
func readGrants(raw json.RawMessage) (map[tenancy.ProjectID]tenancy.Grant, error) {
	if raw == nil {
		return nil, nil
	}
	switch raw[0] {
	case '[':
		return readList(raw)
	case '{':
		return readMap(raw)
	}
	return nil, errors.New("neither an array nor an object")
}

func readList(raw json.RawMessage) (map[tenancy.ProjectID]tenancy.Grant, error) {
	var items []object
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, err
	}
	grants := make(map[tenancy.ProjectID]tenancy.Grant, len(items))
	for i, item := range items {
		for name := range item {
			if name != "id" && name != "name" && name != "roles" {
				return nil, fmt.Errorf("entry %d has %.32q", i+1, name)
			}
		}
		var text, name string
		if err := errors.Join(item.text("id", &text), item.text("name", &name)); err != nil {
			return nil, fmt.Errorf("entry %d: %w", i+1, err)
		}
		id, err := tenancy.ParseProjectID(text)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", i+1, err)
		}
		if _, ok := grants[id]; ok {
			return nil, fmt.Errorf("project %s occurs twice", id)
		}
		roles, err := readRoles(item["roles"])
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", i+1, err)
		}
		grants[id] = tenancy.Grant{Name: name, Roles: roles}
	}
	return grants, nil
}

func readMap(raw json.RawMessage) (map[tenancy.ProjectID]tenancy.Grant, error) {
	var items object
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, err
	}
	grants := make(map[tenancy.ProjectID]tenancy.Grant, len(items))
	for text, raw := range items {
		id, err := tenancy.ParseProjectID(text)
		if err != nil {
			return nil, err
		}
		roles, err := readRoles(raw)
		if err != nil {
			return nil, fmt.Errorf("project %s: %w", id, err)
		}
		grants[id] = tenancy.Grant{Roles: roles}
	}
	return grants, nil
}

func readRoles(raw json.RawMessage) ([]tenancy.Role, error) {
	if !bytes.HasPrefix(raw, []byte("[")) {
		return nil, errors.New("roles are not an array")
	}
	var names []string
	if err := json.Unmarshal(raw, &names); err != nil {
		return nil, fmt.Errorf("roles: %w", err)
	}
	roles := make([]tenancy.Role, len(names))
	for i, name := range names {
		var err error
		if roles[i], err = tenancy.ParseRole(name); err != nil {
			return nil, err
		}
	}
	return roles, nil
}
