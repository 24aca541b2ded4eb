package facade

import (
	"dms/facade/strictjson"
	"dms/mapping/dms"
	"dms/tenancy"
)

// scope is what a token shall be for: a project, the domain, nothing, or, when the
// request does not say, the caller's only project.
type scope struct {
	projectID, projectName string
	project                bool // a project is named
	domain                 bool
	unscoped               bool
}

// choose returns the project that the token shall be for, "" for none.
func (s scope) choose(mine map[tenancy.ProjectID]tenancy.Grant) (tenancy.ProjectID, error) {
	if s.domain || s.unscoped {
		return "", nil
	}
	var found []tenancy.ProjectID
	for id, grant := range mine {
		switch {
		case s.projectID != "" && s.projectID != string(id):
		case s.projectID == "" && s.projectName != "" && s.projectName != grant.Name:
		default:
			found = append(found, id)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1 && s.projectName != "":
		return "", dms.Errorf(dms.BadManageBody, "several projects have this name: give the ID of one in auth.scope.project")
	case len(found) > 1 && s.project:
		return "", dms.Errorf(dms.BadManageBody, "auth.scope.project names no project: give its ID or its name")
	case len(found) > 1:
		return "", nil
	}
	return "", &dms.Error{Code: dms.ProjectMismatch}
}

// parse reads auth.scope. The word unscoped says that the token shall be for nothing,
// although the caller has only one project.
func (s *scope) parse(r *strictjson.Reader) error {
	if null, err := r.Null(); null || err != nil {
		return err
	}
	if r.Kind() == strictjson.String {
		text, err := r.Text("auth.scope")
		if err == nil && text != "unscoped" {
			err = dms.Errorf(dms.BadManageBody, "auth.scope must be an object, or unscoped")
		}
		s.unscoped = true
		return err
	}
	scopes := []string{"project", "domain", "unscoped"}
	members := []string{"id", "name", "domain"}
	err := r.Object("auth.scope", scopes, func(i int) error {
		switch scopes[i] {
		case "domain":
			s.domain = true
			return ignoreDomain(r)
		case "unscoped":
			s.unscoped = true
			return r.Object("auth.scope.unscoped", nil, func(int) error { return nil })
		}
		s.project = true
		return r.Object("auth.scope.project", members, func(i int) (err error) {
			switch members[i] {
			case "id":
				s.projectID, err = r.Text("auth.scope.project.id")
			case "name":
				s.projectName, err = r.Text("auth.scope.project.name")
			case "domain":
				err = ignoreDomain(r)
			}
			return err
		})
	})
	if err == nil && (s.project && (s.domain || s.unscoped) || s.domain && s.unscoped) {
		err = dms.Errorf(dms.BadManageBody, "auth.scope must name one scope")
	}
	return err
}

// ignoreDomain reads a domain, which says nothing here.
func ignoreDomain(r *strictjson.Reader) error {
	return r.Object("a domain", []string{"id", "name"}, func(int) error {
		_, err := r.Text("a member of a domain")
		return err
	})
}
