package facade

import (
	"net/http"
	"slices"
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
	Domain     namedItem   `json:"domain"`
	Federation *federation `json:"OS-FEDERATION,omitempty"`
}

type federation struct {
	Groups           []namedItem `json:"groups"`
	IdentityProvider struct {
		ID string `json:"id"`
	} `json:"identity_provider"`
	Protocol struct {
		ID string `json:"id"`
	} `json:"protocol"`
}

type tokenProject struct {
	namedItem
	Domain namedItem `json:"domain"`
}

type issuedToken struct {
	Token struct {
		ExpiresAt string         `json:"expires_at"`
		IssuedAt  string         `json:"issued_at"`
		Methods   []string       `json:"methods"`
		AuditIDs  []string       `json:"audit_ids,omitempty"`
		User      tokenUser      `json:"user"`
		Project   *tokenProject  `json:"project,omitempty"`
		Domain    *namedItem     `json:"domain,omitempty"`
		Roles     []namedItem    `json:"roles"`
		Catalog   []catalogEntry `json:"catalog"`
	} `json:"token"`
}

// issue is a token as it is described.
type issue struct {
	id                 tenancy.Identity // with one grant, or with offers
	domain             bool             // without a project, but for the domain
	method             string
	provider, protocol string // of a federated identity
	issued, expires    time.Time
}

// exchangeToken turns an identity provider's ID token into one of ours.
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
	c.know(caller)
	return a.issueToken(c, issue{id: caller, method: "mapped", provider: provider, protocol: "oidc", expires: notAfter}, req.scope)
}

// describe says what a token is for.
func (a *API) describe(r *http.Request, i issue) issuedToken {
	var t issuedToken
	t.Token.ExpiresAt = i.expires.UTC().Format(tokenTime)
	t.Token.IssuedAt = i.issued.UTC().Format(tokenTime)
	t.Token.Methods = []string{i.method}
	t.Token.User = tokenUser{namedItem: userOf(i.id), Domain: a.domain()}
	if i.id.TokenID != "" {
		t.Token.AuditIDs = []string{i.id.TokenID}
	}
	if i.id.KeyID == "" {
		f := &federation{Groups: []namedItem{}}
		f.IdentityProvider.ID, f.Protocol.ID = i.provider, i.protocol
		t.Token.User.Federation = f
	}
	t.Token.Roles = []namedItem{}
	var project tenancy.ProjectID
	for id, grant := range i.id.Grants {
		if len(i.id.Grants) > 1 {
			break // a token of an identity provider may be for several
		}
		project = id
		t.Token.Project = &tokenProject{namedItem: namedItem{ID: string(id), Name: a.projectName(id, grant)}, Domain: a.domain()}
		for _, role := range rolesOf(grant) {
			t.Token.Roles = append(t.Token.Roles, namedItem{ID: role, Name: role})
		}
	}
	if i.domain {
		d := a.domain()
		t.Token.Domain = &d
	}
	t.Token.Catalog = a.catalog(r, project)
	return t
}

// rolesOf names what a grant permits. Permissions on single queues are shown by a name
// that is no role, so that nobody takes them for one.
func rolesOf(g tenancy.Grant) []string {
	var names []string
	for _, r := range g.Roles {
		names = append(names, string(r))
	}
	if len(g.Queues) > 0 {
		names = append(names, "queues")
	}
	return slices.Clip(names)
}

// exchangeRequest is the body of a token exchange, read.
type exchangeRequest struct {
	idToken string
	scope   scope
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
			return e.scope.parse(r)
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
