package e2e

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/chnsz/golangsdk"
	"github.com/chnsz/golangsdk/openstack"
	"github.com/chnsz/golangsdk/openstack/dms/v1/queues"
	"github.com/chnsz/golangsdk/openstack/identity/v3/tokens"
)

// discovered returns the older vendor's client after it has found the service by itself:
// it knows the identity endpoint and a credential, and nothing of DMS.
func discovered(t *testing.T, endpoint string, options golangsdk.AuthOptionsProvider, kind string) (*golangsdk.ServiceClient, error) {
	t.Helper()
	provider, err := openstack.NewClient(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	provider.HTTPClient = http.Client{Transport: Transport{Base: transport, Description: description}}
	if err := openstack.Authenticate(provider, options); err != nil {
		return nil, err
	}
	return openstack.NewSDKClient(provider, golangsdk.EndpointOpts{Region: "local-1"}, kind)
}

// mustUse makes, lists and deletes a queue.
func mustUse(t *testing.T, c *golangsdk.ServiceClient, project string) {
	t.Helper()
	if c.ProviderClient.ProjectID != project {
		t.Errorf("the client thinks that its project is %q", c.ProviderClient.ProjectID)
	}
	made, err := queues.Create(c, queues.CreateOps{Name: name(t)}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	got, err := queues.Get(c, made.ID, false).Extract()
	if err != nil || got.Name != made.Name {
		t.Errorf("the queue is read as %+v, %v", got, err)
	}
	if err := queues.Delete(c, made.ID).Err; err != nil {
		t.Error(err)
	}
}

func TestOlderClientsFindTheServiceByThemselves(t *testing.T) {
	t.Parallel()
	owner := newCustomer(t)
	endpoint, p := service.Env.Endpoint, owner.project
	key := owner.accessKey(`"roles":["manager"]`)
	password := golangsdk.AuthOptions{Username: key.AccessKey, Password: key.SecretKey, DomainName: "acme", TenantName: p.Name}
	byID := golangsdk.AuthOptions{UserID: key.AccessKey, Password: key.SecretKey, TenantID: p.ID}
	byToken := golangsdk.AuthOptions{TokenID: p.Token, TenantID: p.ID}
	signed := golangsdk.AKSKAuthOptions{AccessKey: key.AccessKey, SecretKey: key.SecretKey, ProjectId: p.ID, Domain: "Default"}
	byName := golangsdk.AKSKAuthOptions{AccessKey: key.AccessKey, SecretKey: key.SecretKey, ProjectName: p.Name}
	byRegion := golangsdk.AKSKAuthOptions{AccessKey: key.AccessKey, SecretKey: key.SecretKey, ProjectName: "local-1", BssDomain: "Default"}
	for name, row := range map[string]struct {
		path    string
		options golangsdk.AuthOptionsProvider
		kind    string
	}{
		"password, version chosen by the client":    {"", password, "dms"},
		"password, version in the URL":              {"/v3", password, "dmsv1"},
		"password by id, v2":                        {"/v3/", byID, "dmsv2"},
		"token of the identity provider":            {"", byToken, "dms"},
		"signature, project by id":                  {"/v3", signed, "dms"},
		"signature, project by name":                {"/v3", byName, "dmsv1"},
		"signature, project by the region's name":   {"", byRegion, "dmsv2"},
		"signature, version chosen by the client":   {"/", signed, "dmsv1"},
		"token, version in the URL without a slash": {"/v3", byToken, "dmsv1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := discovered(t, endpoint+row.path, row.options, row.kind)
			if err != nil {
				t.Fatal(err)
			}
			mustUse(t, c, p.ID)
		})
	}
}

func TestOlderClientsUnderstandRefusals(t *testing.T) {
	t.Parallel()
	owner := newCustomer(t)
	key := owner.accessKey(`"roles":["manager"]`)
	other := service.Env.Projects[1]
	for name, options := range map[string]golangsdk.AuthOptionsProvider{
		"wrong password":  golangsdk.AuthOptions{Username: key.AccessKey, Password: "wrong", DomainName: "acme", TenantName: key.Name},
		"unknown user":    golangsdk.AuthOptions{Username: "nobody", Password: key.SecretKey, DomainName: "acme", TenantName: key.Name},
		"foreign project": golangsdk.AuthOptions{UserID: key.AccessKey, Password: key.SecretKey, TenantID: other.ID},
		"forged token":    golangsdk.AuthOptions{TokenID: "forged", TenantID: key.ID},
		"token elsewhere": golangsdk.AuthOptions{TokenID: owner.project.Token, TenantID: other.ID},
		"wrong signature": golangsdk.AKSKAuthOptions{AccessKey: key.AccessKey, SecretKey: other.SecretKey, ProjectName: key.Name},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := discovered(t, service.Env.Endpoint+"/v3", options, "dms")
			if _, ok := err.(golangsdk.ErrDefault401); !ok {
				t.Errorf("the client reports %T %v, want a 401", err, err)
			}
		})
	}
}

// TestTokensLiveAndDie leads tokens through validation, rescoping and revocation with the
// older vendor's client and by hand.
func TestTokensLiveAndDie(t *testing.T) {
	t.Parallel()
	owner := newCustomer(t)
	key := owner.accessKey(`"roles":["viewer"]`)
	c, err := discovered(t, service.Env.Endpoint+"/v3", golangsdk.AuthOptions{UserID: key.AccessKey, Password: key.SecretKey, TenantID: key.ID}, "identity")
	if err != nil {
		t.Fatal(err)
	}
	mine := c.ProviderClient.TokenID
	shown := tokens.Get(c, mine)
	project, err := shown.ExtractProject()
	if err != nil || project == nil || project.ID != key.ID {
		t.Errorf("the token is shown for %+v, %v", project, err)
	}
	if catalog, err := shown.ExtractServiceCatalog(); err != nil || len(catalog.Entries) != 4 {
		t.Errorf("the token is shown with %+v, %v", catalog, err)
	}
	if id := shown.Header.Get("X-Subject-Token"); id != mine {
		t.Error("the token is not echoed")
	}
	// A federated token is for no project until it is exchanged.
	nobody := NewClient(service.Env.Endpoint, "", Transport{Base: http.DefaultTransport, Description: description})
	do := func(method, path, body string, header ...string) Answer {
		t.Helper()
		a, err := nobody.Do(t.Context(), method, path, body, header...)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	federated := do("POST", "/v3/OS-FEDERATION/identity_providers/"+service.Env.ProviderID+"/protocols/oidc/auth", "", "Authorization", "Bearer "+owner.project.Token)
	unscoped := federated.Header.Get("X-Subject-Token")
	if federated.Status != http.StatusCreated || unscoped == "" {
		t.Fatalf("federation: %v", federated)
	}
	if a := do("GET", owner.base+"/queues", "", "X-Auth-Token", unscoped); a.Status != 401 || errorCode(a) != "DMS.10240104" {
		t.Errorf("a token for no project opens a project: %v", a)
	}
	exchanged := do("POST", "/v3/auth/tokens", fmt.Sprintf(`{"auth":{"identity":{"methods":["token"],"token":{"id":%q}},"scope":{"project":{"name":%q,"domain":{"name":"acme"}}}}}`, unscoped, owner.project.Name))
	scoped := exchanged.Header.Get("X-Subject-Token")
	if a := do("GET", owner.base+"/queues", "", "X-Auth-Token", scoped); exchanged.Status != http.StatusCreated || a.Status != 200 {
		t.Errorf("the exchanged token: %v, then %v", exchanged, a)
	}
	for _, token := range []string{unscoped, mine} {
		if a := do("DELETE", "/v3/auth/tokens", "", "X-Auth-Token", token, "X-Subject-Token", token); a.Status != http.StatusNoContent {
			t.Errorf("revoking: %v", a)
		}
	}
	for _, token := range []string{scoped, mine} {
		if a := do("GET", owner.base+"/queues", "", "X-Auth-Token", token); a.Status != 401 || errorCode(a) != "DMS.10240101" {
			t.Errorf("a revoked token: %v", a)
		}
	}
}
