package deploy_test

import (
	"crypto/tls"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"dms/deploy"
	"dms/deploy/deploytest"
	"dms/tenancy"
	"dms/tenancy/certtest"
	"dms/tenancy/oidc/oidctest"
)

// Three nodes with two issuers and client certificates: what a token is bound to and
// what a project admits holds on every node.
func TestBoundTokensOnThreeNodes(t *testing.T) {
	const bound, open = oidctest.Project1, tenancy.ProjectID("d0000000000000000000000000000001")
	authority := certtest.NewAuthority(t)
	dir := t.TempDir()
	cert, key, ca := filepath.Join(dir, "crt"), filepath.Join(dir, "key"), filepath.Join(dir, "ca")
	certtest.Write(t, authority.Issue(t, "api"), cert, key)
	certtest.WriteFile(t, ca, authority.PEM())
	idp, op := oidctest.Start(t), oidctest.StartOP(t, "dms/"+string(open)+"/manager")
	c := deploytest.Start(t, func(c *deploy.Config) {
		c.API.TLSCertFile, c.API.TLSKeyFile, c.API.ClientCAFile = cert, key, ca
		c.Tenants.BoundOnly = map[tenancy.ProjectID]bool{bound: true}
		c.IdentityProviders = []deploy.IdentityProvider{
			{ID: "idp", Issuer: idp.URL, Audience: []string{oidctest.Audience}, RequireAccessType: true},
			{ID: "op", Issuer: op.Issuer, Audience: []string{oidctest.Audience}, Claims: deploy.ClaimExpressions{
				Projects: `claims.groups.map(g, g.split("/")).map(p, {"id": p[1], "roles": [p[2]]})`,
			}},
		}
	})
	mine, other := authority.Issue(t, "mine"), authority.Issue(t, "other")
	now := time.Now()
	token := func(cnf any) string {
		return idp.Access(t, oidctest.M{"cnf": cnf, "iat": now.Unix(), "nbf": nil, "exp": now.Add(time.Hour).Unix()})
	}
	over := func(i int, certs ...tls.Certificate) *caller {
		k := newCaller(t, c.URL(t, i), bound, token(oidctest.M{"x5t#S256": certtest.Thumbprint(mine).String()}))
		k.client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: authority.Pool(), Certificates: certs}}}
		return k
	}
	for i := range deploytest.Size {
		over(i, mine).must(http.StatusOK, "GET", "/queues", "", nil)
		over(i).must(http.StatusUnauthorized, "GET", "/queues", "", nil)
		over(i, other).must(http.StatusUnauthorized, "GET", "/queues", "", nil)
		unbound := over(i, mine)
		unbound.token = token(nil)
		unbound.must(http.StatusUnauthorized, "GET", "/queues", "", nil)
		sealed := over(i, mine)
		sealed.token = c.Token(t, bound, tenancy.Manager)
		sealed.must(http.StatusUnauthorized, "GET", "/queues", "", nil)
		// The other issuer's project admits what it always did.
		elsewhere := over(i)
		elsewhere.base = c.URL(t, i) + "/v2/" + string(open)
		elsewhere.token = op.Token(t)
		elsewhere.must(http.StatusOK, "GET", "/queues", "", nil)
	}
	// The certificate is renewed, with a new authority for servers, while the nodes run.
	renewed := certtest.NewAuthority(t)
	certtest.Write(t, renewed.Issue(t, "renewed"), cert, key)
	for i := range deploytest.Size {
		k := over(i, mine)
		k.client.Transport = &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: renewed.Pool(), Certificates: []tls.Certificate{mine}}}
		deadline, tick := time.Now().Add(time.Minute), time.NewTicker(50*time.Millisecond)
		for {
			req, err := http.NewRequestWithContext(t.Context(), "GET", k.base+"/queues", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Auth-Token", k.token)
			res, err := k.client.Do(req)
			if err == nil {
				res.Body.Close()
				if res.StatusCode != http.StatusOK {
					t.Errorf("node %d with its new certificate answers %d", i, res.StatusCode)
				}
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("node %d does not take its new certificate: %v", i, err)
			}
			<-tick.C
		}
		tick.Stop()
	}
}
