package facade

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"dms/facade/strictjson"
	"dms/mapping/dms"
	"dms/tenancy"
	"dms/tenancy/token"

	"github.com/go-chi/chi/v5"
)

// createToken issues a token for an access key and its secret, or for another token. The
// names of users are ids of access keys: passwords of identity providers have no business
// here and are passed on to nobody.
func (a *API) createToken(c *call) error {
	if a.o.Sessions == nil || a.o.Exchange == nil {
		return &dms.Error{Code: dms.NoSuchRoute}
	}
	req, err := parseAuth(c.body)
	if err != nil {
		return manageError(err)
	}
	var id tenancy.Identity
	var notAfter time.Time
	if req.method == methodToken {
		if id, notAfter, err = a.o.Tokens.VerifyToken(c.ctx(), req.secret); err == nil {
			err = a.checkHolder(c.r, id)
		}
		err = tokenError(err)
	} else {
		id, notAfter, err = a.o.Sessions.VerifySecret(req.user, req.secret, c.r.RemoteAddr)
		switch {
		case errors.Is(err, tenancy.ErrUnauthenticated):
			err = &dms.Error{Code: dms.SignatureBad, Message: "the name is not the ID of an access key, or the password does not belong to it", Err: err}
		case err != nil:
			err = unavailable(err)
		case notAfter.IsZero():
			notAfter = a.o.Now().Add(24 * time.Hour)
		}
	}
	if err != nil {
		return err
	}
	c.know(id)
	return a.issueToken(c, issue{id: id, method: req.method, provider: id.Issuer, protocol: "oidc", expires: notAfter}, req.scope)
}

// federate exchanges a token of an identity provider for one of ours without a project,
// which can then be exchanged for one of a project.
func (a *API) federate(c *call) error {
	if a.o.Exchange == nil {
		return &dms.Error{Code: dms.NoSuchRoute}
	}
	scheme, raw, _ := strings.Cut(c.r.Header.Get("Authorization"), " ")
	if raw = strings.TrimSpace(raw); !strings.EqualFold(scheme, "Bearer") || raw == "" || len(c.r.Header.Values("Authorization")) != 1 {
		return &dms.Error{Code: dms.TokenMissing}
	}
	provider := chi.URLParam(c.r, "idp")
	id, notAfter, err := a.o.Exchange.VerifyIDToken(c.ctx(), provider, raw)
	if err == nil {
		err = a.checkHolder(c.r, id)
	}
	if err != nil {
		return tokenError(err)
	}
	c.know(id)
	return a.issueToken(c, issue{
		id: id, method: "mapped", provider: provider, protocol: chi.URLParam(c.r, "protocol"), expires: notAfter,
	}, scope{unscoped: true})
}

// issueToken issues a token for what the scope names of the caller's projects, and
// answers with it.
func (a *API) issueToken(c *call, i issue, s scope) error {
	ev := eventOf(c.ctx())
	ev.uses = true
	project, err := s.choose(a.reach(i.id))
	if err != nil {
		return err
	}
	if project == "" {
		i.id.Offers, i.id.Grants = a.reach(i.id), nil
		i.domain = s.domain
	} else {
		ev.project = project
		grant := a.reach(i.id)[project]
		admitted, err := a.admit(c.ctx(), project, grant.Name)
		if err != nil {
			return err
		}
		ev.member = true
		// Binding the new token to the certificate of this connection would not do: whoever
		// has stolen the old one has a certificate, too.
		if err := checkBound(admitted, i.id, false); err != nil {
			return err
		}
		if admitted.Name != "" {
			grant.Name = admitted.Name
		}
		i.id.Grants, i.id.Offers = map[tenancy.ProjectID]tenancy.Grant{project: grant}, nil
	}
	sealed, expires, err := a.o.Exchange.Issue(i.id, i.expires)
	switch {
	case errors.Is(err, tenancy.ErrExpired):
		return dms.Wrap(dms.TokenExpired, err)
	case errors.Is(err, token.ErrTooLarge):
		return &dms.Error{Code: dms.BadManageBody, Message: "the identity has too many projects for one token: name a project", Err: err}
	case errors.Is(err, token.ErrTooOften):
		return &dms.Error{Code: dms.BadManageBody, Message: "the token was exchanged too often: sign in again", Err: err}
	case err != nil:
		return dms.Wrap(dms.Internal, err)
	}
	i.issued, i.expires = a.o.Now(), expires
	i.id.TokenID = "" // of the token that was presented
	c.w.Header().Set(subjectTokenHeader, sealed)
	return c.encode(http.StatusCreated, a.describe(c.r, i))
}

// Methods of authentication.
const (
	methodPassword = "password"
	methodToken    = "token"
	methodKey      = "application_credential"
)

// authRequest is the body of POST /v3/auth/tokens, read.
type authRequest struct {
	method string
	user   string // id of an access key
	secret string // its secret, or a token
	scope  scope
}

func parseAuth(body []byte) (authRequest, error) {
	var req authRequest
	var methods []string
	given := make(map[string]bool)
	names := []string{"identity", "scope"}
	identity := []string{"methods", methodPassword, methodToken, methodKey}
	err := whole(body, []string{"auth"}, func(r *strictjson.Reader, _ int) error {
		return r.Object("auth", names, func(i int) error {
			if names[i] == "scope" {
				return req.scope.parse(r)
			}
			return r.Object("auth.identity", identity, func(i int) error {
				given[identity[i]] = true
				switch identity[i] {
				case "methods":
					return r.Array("auth.identity.methods", func(int) error {
						m, err := r.Text("a method")
						methods = append(methods, m)
						return err
					})
				case methodPassword:
					return r.Object("auth.identity.password", []string{"user"}, func(int) error { return req.parseUser(r) })
				case methodToken:
					return r.Object("auth.identity.token", []string{"id"}, func(int) (err error) {
						req.secret, err = r.Text("auth.identity.token.id")
						return err
					})
				}
				return req.parseCredential(r)
			})
		})
	})
	if err != nil {
		return req, err
	}
	if len(methods) != 1 {
		return req, dms.Errorf(dms.BadManageBody, "auth.identity.methods must name one method")
	}
	switch req.method = methods[0]; req.method {
	case methodPassword, methodToken, methodKey:
	default:
		return req, dms.Errorf(dms.BadManageBody, "the method must be password, token or application_credential")
	}
	if !given[req.method] || len(given) != 2 {
		return req, dms.Errorf(dms.BadManageBody, "auth.identity must hold methods and %s", req.method)
	}
	if req.secret = strings.TrimSpace(req.secret); req.secret == "" || req.method != methodToken && req.user == "" {
		return req, dms.Errorf(dms.BadManageBody, "auth.identity.%s is not complete", req.method)
	}
	return req, nil
}

func (q *authRequest) parseUser(r *strictjson.Reader) error {
	names := []string{"id", "name", "password", "domain"}
	return r.Object("auth.identity.password.user", names, func(i int) (err error) {
		switch names[i] {
		case "id", "name":
			return q.parseName(r, names[i])
		case "password":
			q.secret, err = r.Text("password")
		default:
			err = ignoreDomain(r)
		}
		return err
	})
}

func (q *authRequest) parseCredential(r *strictjson.Reader) error {
	names := []string{"id", "name", "secret", "user"}
	return r.Object("auth.identity.application_credential", names, func(i int) (err error) {
		switch names[i] {
		case "id", "name":
			return q.parseName(r, names[i])
		case "secret":
			q.secret, err = r.Text("secret")
		default:
			members := []string{"id", "name", "domain"}
			err = r.Object("user", members, func(i int) error {
				if members[i] == "domain" {
					return ignoreDomain(r)
				}
				_, err := r.Text("a member of user")
				return err
			})
		}
		return err
	})
}

// parseName reads the id of an access key, which clients give as an id or as a name.
func (q *authRequest) parseName(r *strictjson.Reader, what string) error {
	text, err := r.Text(what)
	if err == nil && q.user != "" && text != q.user {
		return dms.Errorf(dms.BadManageBody, "id and name name different access keys")
	}
	q.user = text
	return err
}
