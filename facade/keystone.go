package facade

import (
	"cmp"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"dms/mapping/dms"
	"dms/tenancy"
)

// The operations below /v3 are the part of OpenStack's identity service that clients of
// this service call before their first call of it. There is one domain. It has no meaning
// here, so that every name a client has for its domain names this one.

const domainID = "default"

func (a *API) domain() namedItem { return namedItem{ID: domainID, Name: a.o.Domain} }

type versionItem struct {
	ID         string      `json:"id"`
	Status     string      `json:"status"`
	Updated    string      `json:"updated"`
	MediaTypes []mediaType `json:"media-types"`
	Links      []link      `json:"links"`
}

type mediaType struct {
	Base string `json:"base"`
	Type string `json:"type"`
}

type link struct {
	Rel  string `json:"rel"`
	Href string `json:"href"`
}

type versionList struct {
	Versions struct {
		Values []versionItem `json:"values"`
	} `json:"versions"`
}

type versionDocument struct {
	Version versionItem `json:"version"`
}

func (a *API) version(r *http.Request) versionItem {
	return versionItem{
		ID: "v3.6", Status: "stable", Updated: "2016-04-04T00:00:00Z",
		MediaTypes: []mediaType{{Base: "application/json", Type: "application/vnd.openstack.identity-v3+json"}},
		Links:      []link{{Rel: "self", Href: a.publicURL(r) + "/v3/"}},
	}
}

// listVersions answers with the status that clients expect of a choice.
func (a *API) listVersions(c *call) error {
	if a.o.Console != nil {
		c.w.Header().Set("Vary", "Accept")
		// Only browsers ask for pages; they are people who want to look around.
		if strings.Contains(c.r.Header.Get("Accept"), "text/html") {
			c.w.Header().Set("Location", "/console/")
			c.w.WriteHeader(http.StatusFound)
			return nil
		}
	}
	var list versionList
	list.Versions.Values = []versionItem{a.version(c.r)}
	return c.encode(http.StatusMultipleChoices, list)
}

func (a *API) showVersion(c *call) error {
	return c.encode(http.StatusOK, versionDocument{a.version(c.r)})
}

// listLinks ends lists for clients that follow pages.
type listLinks struct {
	Self     string  `json:"self"`
	Previous *string `json:"previous"`
	Next     *string `json:"next"`
}

func (a *API) links(c *call) listLinks {
	return listLinks{Self: a.publicURL(c.r) + c.r.URL.EscapedPath()}
}

type ownProject struct {
	namedItem
	DomainID    string `json:"domain_id"`
	ParentID    string `json:"parent_id"`
	Description string `json:"description"`
	Enabled     bool   `json:"enabled"`
	IsDomain    bool   `json:"is_domain"`
}

type ownProjectList struct {
	Projects []ownProject `json:"projects"`
	Links    listLinks    `json:"links"`
}

// reach is every project that the caller can use or get a token for, by id, with the name
// that the credential gives it, else the one that it has here, if any.
func (a *API) reach(caller tenancy.Identity) map[tenancy.ProjectID]tenancy.Grant {
	all := maps.Clone(caller.Offers)
	if all == nil {
		all = make(map[tenancy.ProjectID]tenancy.Grant)
	}
	maps.Copy(all, caller.Grants)
	for id, grant := range all {
		if grant.Name == "" {
			grant.Name = a.o.ProjectName(id)
			all[id] = grant
		}
	}
	return all
}

// projectName is what to show as the project's name. Clients have no use for an empty
// one, so that the id stands in for it.
func (a *API) projectName(id tenancy.ProjectID, grant tenancy.Grant) string {
	return cmp.Or(grant.Name, a.o.ProjectName(id), string(id))
}

// listOwnProjects lists the caller's projects. Clients that know only a region ask for the
// project of its name: a caller with one project means that one.
func (a *API) listOwnProjects(c *call) error {
	name, err := c.one("name")
	if err != nil {
		return err
	}
	all := a.reach(c.caller())
	list := ownProjectList{Projects: []ownProject{}, Links: a.links(c)}
	for id, grant := range all {
		if name == "" || name == grant.Name || name == a.o.Region && len(all) == 1 {
			list.Projects = append(list.Projects, ownProject{
				namedItem: namedItem{ID: string(id), Name: a.projectName(id, grant)}, DomainID: domainID, ParentID: domainID, Enabled: true,
			})
		}
	}
	slices.SortFunc(list.Projects, func(a, b ownProject) int { return cmp.Compare(a.ID, b.ID) })
	return c.encode(http.StatusOK, list)
}

type domainItem struct {
	namedItem
	Description string `json:"description"`
	Enabled     bool   `json:"enabled"`
}

type domainList struct {
	Domains []domainItem `json:"domains"`
	Links   listLinks    `json:"links"`
}

func (a *API) listDomains(c *call) error {
	name, err := c.one("name")
	if err != nil {
		return err
	}
	d := domainItem{namedItem: a.domain(), Enabled: true}
	if name != "" {
		d.Name = name
	}
	return c.encode(http.StatusOK, domainList{[]domainItem{d}, a.links(c)})
}

type userItem struct {
	namedItem
	DomainID string `json:"domain_id"`
	Enabled  bool   `json:"enabled"`
}

type userList struct {
	Users []userItem `json:"users"`
	Links listLinks  `json:"links"`
}

// listUsers knows nobody but the caller.
func (a *API) listUsers(c *call) error {
	name, err := c.one("name")
	if err != nil {
		return err
	}
	list := userList{Users: []userItem{}, Links: a.links(c)}
	u := userOf(c.caller())
	if name == "" || name == u.Name || name == u.ID {
		list.Users = append(list.Users, userItem{namedItem: u, DomainID: domainID, Enabled: true})
	}
	return c.encode(http.StatusOK, list)
}

func userOf(id tenancy.Identity) namedItem {
	return namedItem{ID: id.Subject, Name: cmp.Or(id.Name, id.Subject)}
}

// showToken tells what the token in X-Subject-Token is for. Whoever holds a token may
// ask: it could be used just as well.
func (a *API) showToken(c *call) error {
	t, err := a.subjectToken(c)
	if err != nil {
		return err
	}
	if err := a.checkHolder(c.r, t.Identity); err != nil {
		return noSuchToken(err)
	}
	c.w.Header().Set(subjectTokenHeader, c.r.Header.Get(subjectTokenHeader))
	issued := t.Issued
	if issued.IsZero() {
		issued = a.o.Now()
	}
	method := "mapped"
	if t.Identity.KeyID != "" {
		method = "password"
	}
	return c.encode(http.StatusOK, a.describe(c.r, issue{
		id: t.Identity, method: method, provider: t.Identity.Issuer, protocol: "oidc", issued: issued, expires: t.Expires,
	}))
}

// revokeToken ends the token in X-Subject-Token, and those it was exchanged for. A token
// that is bound to a certificate can be ended without it: its owner may have lost both.
func (a *API) revokeToken(c *call) error {
	t, err := a.subjectToken(c)
	if err != nil {
		return err
	}
	object := &eventOf(c.ctx()).object
	object.Token = t.Identity.TokenID
	if id, only := onlyProject(t.Identity); only && id != c.project.ID {
		object.Project = id
	}
	if err := a.o.Sessions.RevokeToken(c.ctx(), t, t.Identity); err != nil {
		return unavailable(err)
	}
	return c.done()
}

func (a *API) subjectToken(c *call) (tenancy.Token, error) {
	if a.o.Sessions == nil {
		return tenancy.Token{}, &dms.Error{Code: dms.NoSuchRoute}
	}
	raw := c.r.Header.Values(subjectTokenHeader)
	if len(raw) != 1 {
		return tenancy.Token{}, dms.Errorf(dms.BadManageBody, "X-Subject-Token must be given once")
	}
	t, err := a.o.Sessions.InspectToken(c.ctx(), raw[0])
	if errors.Is(err, tenancy.ErrExpired) || errors.Is(err, tenancy.ErrUnauthenticated) {
		return tenancy.Token{}, noSuchToken(err)
	}
	return t, tokenError(err)
}

func noSuchToken(why error) error {
	return &dms.Error{Code: dms.NoSuchRoute, Message: "there is no such token", Err: why}
}
