package facade

import (
	"net/http"
	"strings"
	"time"

	"dms/facade/strictjson"
	"dms/mapping/dms"
	"dms/tenancy"
)

// tokenTime is how times are written in tokens. Clients insist on the final Z.
const tokenTime = "2006-01-02T15:04:05.000000Z"

// subjectTokenHeader carries an issued token.
const subjectTokenHeader = "X-Subject-Token"

type namedItem struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type tokenUser struct {
	namedItem
	Domain     namedItem `json:"domain"`
	Federation struct {
		Groups           []namedItem `json:"groups"`
		IdentityProvider struct {
			ID string `json:"id"`
		} `json:"identity_provider"`
		Protocol struct {
			ID string `json:"id"`
		} `json:"protocol"`
	} `json:"OS-FEDERATION"`
}

type tokenProject struct {
	namedItem
	Domain namedItem `json:"domain"`
}

type issuedToken struct {
	Token struct {
		ExpiresAt string       `json:"expires_at"`
		IssuedAt  string       `json:"issued_at"`
		Methods   []string     `json:"methods"`
		User      tokenUser    `json:"user"`
		Project   tokenProject `json:"project"`
		Roles     []namedItem  `json:"roles"`
		Catalog   []struct{}   `json:"catalog"`
	} `json:"token"`
}

// exchangeToken turns an identity provider's ID token into one of ours for a project.
func (a *API) exchangeToken(c *call) error {
	if a.o.Exchange == nil {
		return &dms.Error{Code: dms.NoSuchRoute}
	}
	req, err := parseExchange(c.body)
	if err != nil {
		return manageError(err)
	}
	provider := c.r.Header.Get("X-Idp-Id")
	caller, notAfter, err := a.o.Exchange.VerifyIDToken(c.ctx(), provider, req.idToken)
	if err == nil {
		err = a.checkHolder(c.r, caller)
	}
	if err != nil {
		return tokenError(err)
	}
	project, err := req.choose(caller)
	if err != nil {
		return err
	}
	eventOf(c.ctx()).project = project
	admitted, err := a.admit(c.ctx(), project, caller.Grants[project].Name)
	if err != nil {
		return err
	}
	// Binding the new token to the certificate of this connection would not do: whoever
	// has stolen the old one has a certificate, too.
	if err := checkBound(admitted, caller, false); err != nil {
		return err
	}
	scoped, _ := caller.Scoped(project)
	token, expires, err := a.o.Exchange.Issue(scoped, notAfter)
	if err != nil {
		return dms.Wrap(dms.Internal, err)
	}
	c.w.Header().Set(subjectTokenHeader, token)
	return c.encode(http.StatusCreated, a.describeToken(scoped, admitted, provider, expires))
}

// describeToken says what an issued token is for. Domains have no meaning here; the
// issuer stands in for them because clients read the members.
func (a *API) describeToken(id tenancy.Identity, p tenancy.Project, provider string, expires time.Time) issuedToken {
	grant := id.Grants[p.ID]
	name := p.Name
	if name == "" {
		name = grant.Name
	}
	domain := namedItem{ID: id.Issuer, Name: id.Issuer}
	var t issuedToken
	t.Token.ExpiresAt = expires.UTC().Format(tokenTime)
	t.Token.IssuedAt = a.o.Now().UTC().Format(tokenTime)
	t.Token.Methods = []string{"mapped"}
	t.Token.User = tokenUser{namedItem: namedItem{ID: id.Subject, Name: id.Name}, Domain: domain}
	t.Token.User.Federation.Groups = []namedItem{}
	t.Token.User.Federation.IdentityProvider.ID = provider
	t.Token.User.Federation.Protocol.ID = "oidc"
	t.Token.Project = tokenProject{namedItem: namedItem{ID: string(p.ID), Name: name}, Domain: domain}
	t.Token.Roles = make([]namedItem, len(grant.Roles))
	for i, r := range grant.Roles {
		t.Token.Roles[i] = namedItem{ID: string(r), Name: string(r)}
	}
	t.Token.Catalog = []struct{}{}
	return t
}

// exchangeRequest is the body of a token exchange, read.
type exchangeRequest struct {
	idToken              string
	projectID, projectNm string
	domain               bool // the scope is a domain
}

// choose returns the project that the token shall be for, one of the caller's own.
func (e exchangeRequest) choose(caller tenancy.Identity) (tenancy.ProjectID, error) {
	var found []tenancy.ProjectID
	for id, grant := range caller.Grants {
		switch {
		case e.projectID != "" && e.projectID != string(id):
		case e.projectID == "" && e.projectNm != "" && e.projectNm != grant.Name:
		default:
			found = append(found, id)
		}
	}
	switch {
	case e.domain:
		return "", dms.Errorf(dms.BadManageBody, "tokens are issued for projects: name one in auth.scope.project")
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1 && e.projectNm != "":
		return "", dms.Errorf(dms.BadManageBody, "several projects have this name: give the ID of one in auth.scope.project")
	case len(found) > 1:
		return "", dms.Errorf(dms.BadManageBody, "the identity has several projects: name one in auth.scope.project")
	}
	return "", &dms.Error{Code: dms.ProjectMismatch}
}

func parseExchange(body []byte) (exchangeRequest, error) {
	var e exchangeRequest
	names := []string{"id_token", "scope"}
	err := whole(body, []string{"auth"}, func(r *strictjson.Reader, _ int) error {
		return r.Object("auth", names, func(i int) error {
			if names[i] == "id_token" {
				return r.Object("auth.id_token", []string{"id"}, func(int) (err error) {
					e.idToken, err = r.Text("auth.id_token.id")
					return err
				})
			}
			return e.parseScope(r)
		})
	})
	if err != nil {
		return e, err
	}
	// Clients send the content of a file as it is, final newline included.
	if e.idToken = strings.TrimSpace(e.idToken); e.idToken == "" {
		return e, dms.Errorf(dms.BadManageBody, "auth.id_token.id is missing")
	}
	return e, nil
}

func (e *exchangeRequest) parseScope(r *strictjson.Reader) error {
	if null, err := r.Null(); null || err != nil {
		return err
	}
	scopes := []string{"project", "domain"}
	members := []string{"id", "name", "domain"}
	return r.Object("auth.scope", scopes, func(i int) error {
		if scopes[i] == "domain" {
			e.domain = true
			return ignoreDomain(r)
		}
		return r.Object("auth.scope.project", members, func(i int) (err error) {
			switch members[i] {
			case "id":
				e.projectID, err = r.Text("auth.scope.project.id")
			case "name":
				e.projectNm, err = r.Text("auth.scope.project.name")
			case "domain":
				err = ignoreDomain(r)
			}
			return err
		})
	})
}

// ignoreDomain reads a domain, which says nothing here.
func ignoreDomain(r *strictjson.Reader) error {
	return r.Object("a domain", []string{"id", "name"}, func(int) error {
		_, err := r.Text("a member of a domain")
		return err
	})
}
