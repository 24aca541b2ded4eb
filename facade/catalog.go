package facade

import (
	"net/http"
	"regexp"

	"dms/tenancy"
)

type catalogEntry struct {
	ID        string     `json:"id"`
	Type      string     `json:"type"`
	Name      string     `json:"name"`
	Endpoints []endpoint `json:"endpoints"`
}

type endpoint struct {
	ID        string `json:"id"`
	Interface string `json:"interface"`
	Region    string `json:"region"`
	RegionID  string `json:"region_id"`
	URL       string `json:"url"`
}

type catalogList struct {
	Catalog []catalogEntry `json:"catalog"`
}

// catalog tells where the service is, for a project or for none. Clients look for dms,
// dmsv1 or dmsv2, and take the URL as it is: with the version and the project.
func (a *API) catalog(r *http.Request, project tenancy.ProjectID) []catalogEntry {
	base := a.publicURL(r)
	entry := func(kind, url string) catalogEntry {
		return catalogEntry{ID: kind, Type: kind, Name: kind, Endpoints: []endpoint{{
			ID: kind + "-public", Interface: "public", Region: a.o.Region, RegionID: a.o.Region, URL: url,
		}}}
	}
	all := []catalogEntry{entry("identity", base+"/v3")}
	if project != "" {
		all = append(all,
			entry("dms", base+"/v1.0/"+string(project)),
			entry("dmsv1", base+"/v1.0/"+string(project)),
			entry("dmsv2", base+"/v2/"+string(project)))
	}
	return all
}

// publicURL is where the client finds this service: as configured, or where it found it
// just now.
func (a *API) publicURL(r *http.Request) string {
	if a.o.PublicURL != "" {
		return a.o.PublicURL
	}
	scheme := "http://"
	if r.TLS != nil {
		scheme = "https://"
	}
	if !regexp.MustCompile(`^[A-Za-z0-9.:\[\]_-]{1,255}$`).MatchString(r.Host) {
		return scheme + "localhost" // whoever sends another host name does not need the answer
	}
	return scheme + r.Host
}

func (a *API) showCatalog(c *call) error {
	var project tenancy.ProjectID
	caller := c.caller()
	if claimed := tenancy.ProjectID(c.r.Header.Get("X-Project-Id")); caller.Member(claimed) {
		project = claimed
	} else if len(caller.Grants) == 1 {
		for project = range caller.Grants {
		}
	}
	return c.encode(http.StatusOK, catalogList{a.catalog(c.r, project)})
}
