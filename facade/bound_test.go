package facade_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dms/facade"
	"dms/facade/openapitest"
	"dms/tenancy"
	"dms/tenancy/certtest"
	"dms/tenancy/oidc/oidctest"
)

// boundService is an API that asks for client certificates, over real verifiers.
type boundService struct {
	*service
	plainURL string // the same API without TLS
	idp      *oidctest.Provider
	verify   *verifiers
	fake     *fake
	later    atomic.Int64 // how far the service's clock is ahead, in nanoseconds
}

func serveBound(t *testing.T, authority *certtest.Authority, boundOnly bool) *boundService {
	t.Helper()
	b := &boundService{idp: oidctest.Start(t), fake: stocked()}
	b.verify = newVerifiers(t, b.idp)
	b.fake.admit = func(_ context.Context, id tenancy.ProjectID, name string) (tenancy.Project, error) {
		return tenancy.Project{ID: id, Name: name, Limits: tenancy.DefaultLimits(), BoundOnly: boundOnly}, nil
	}
	b.fake.signature = func(*http.Request, []byte) (tenancy.Identity, error) {
		id := identity(oidctest.Project1, tenancy.Manager)
		id.Issuer, id.KeyID = "access-key", "AK"
		return id, nil
	}
	b.service = serve(t, b.fake, func(o *facade.Options, _ *http.Server) {
		o.Tokens, o.Exchange = b.verify, b.verify
		o.Now = func() time.Time { return time.Now().Add(time.Duration(b.later.Load())) }
	})
	b.plainURL = b.server.URL
	secure := httptest.NewUnstartedServer(b.api.Handler())
	secure.TLS = &tls.Config{
		Certificates: []tls.Certificate{authority.Issue(t, "server")},
		ClientAuth:   tls.VerifyClientCertIfGiven, ClientCAs: authority.Pool(),
	}
	secure.StartTLS()
	t.Cleanup(secure.Close)
	b.server = secure
	return b
}

// over returns a client of the service that presents the certificate, nil for none.
func (b *boundService) over(t *testing.T, authority *certtest.Authority, cert *tls.Certificate) *http.Client {
	t.Helper()
	config := &tls.Config{RootCAs: authority.Pool()}
	if cert != nil {
		config.Certificates = []tls.Certificate{*cert}
	}
	transport := &http.Transport{TLSClientConfig: config}
	t.Cleanup(transport.CloseIdleConnections)
	checked, err := openapitest.NewTransport(transport)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Transport: checked}
}

// TestTokensBoundToCertificates asks for every kind of credential, over every kind of
// connection, in a project that admits all and in one that admits bound tokens only.
func TestTokensBoundToCertificates(t *testing.T) {
	authority := certtest.NewAuthority(t)
	mine, other := authority.Issue(t, "mine"), authority.Issue(t, "other")
	renewed := authority.Renew(t, mine)
	connections := []struct {
		name  string
		cert  *tls.Certificate
		plain bool
		holds string // whose tokens the connection may carry
	}{
		{"plaintext", nil, true, ""},
		{"no certificate", nil, false, ""},
		{"my certificate", &mine, false, "mine"},
		{"another certificate", &other, false, "other"},
		{"my certificate, renewed", &renewed, false, "renewed"},
	}
	const (
		bearer, exchange, signature = "bearer", "exchange", "signature"
		rescope, federate           = "rescope", "federate"
		good, invalid, badSignature = "", "DMS.10240101", "APIGW.0301"
	)
	cnf := func(c tls.Certificate) oidctest.M {
		return oidctest.M{"cnf": oidctest.M{"x5t#S256": certtest.Thumbprint(c).String()}}
	}
	clients := make(map[string]*http.Client)
	cases := 0
	for _, boundOnly := range []bool{false, true} {
		b := serveBound(t, authority, boundOnly)
		for _, c := range connections {
			clients[c.name] = b.over(t, authority, c.cert)
		}
		sealed := func(changes oidctest.M) string {
			id, until, err := b.verify.VerifyIDToken(t.Context(), "idp", b.idp.Access(t, changes))
			if err != nil {
				t.Fatal(err)
			}
			raw, _, err := b.verify.Issue(id, until)
			if err != nil {
				t.Fatal(err)
			}
			return raw
		}
		for _, credential := range []struct {
			name, kind, token, boundTo string
		}{
			{"an unbound token", bearer, b.idp.Access(t, nil), ""},
			{"my token", bearer, b.idp.Access(t, cnf(mine)), "mine"},
			{"a token for the renewed certificate", bearer, b.idp.Access(t, cnf(renewed)), "renewed"},
			{"an unbound token of ours", bearer, sealed(nil), ""},
			{"my token of ours", bearer, sealed(cnf(mine)), "mine"},
			{"an unbound token in the exchange", exchange, b.idp.Access(t, nil), ""},
			{"my token in the exchange", exchange, b.idp.Access(t, cnf(mine)), "mine"},
			{"an unbound token for another", rescope, b.idp.Access(t, nil), ""},
			{"my token for another", rescope, b.idp.Access(t, cnf(mine)), "mine"},
			{"my token of ours for another", rescope, sealed(cnf(mine)), "mine"},
			{"an unbound token, federated", federate, b.idp.Access(t, nil), ""},
			{"my token, federated", federate, b.idp.Access(t, cnf(mine)), "mine"},
			{"an access key", signature, "", ""},
		} {
			for _, connection := range connections {
				want := good
				switch {
				case credential.boundTo != "" && credential.boundTo != connection.holds,
					credential.boundTo == "" && boundOnly && credential.kind != signature && credential.kind != federate:
					want = invalid
				case credential.kind == signature && boundOnly:
					want = badSignature
				}
				name := fmt.Sprintf("bound only %t, %s over %s", boundOnly, credential.name, connection.name)
				cases++
				client := clients[connection.name]
				secure := b.server.URL
				if connection.plain {
					b.server.URL = b.plainURL
				}
				var got answer
				switch credential.kind {
				case bearer:
					got = b.with(client, "GET", identityBase+"/queues", "", "X-Auth-Token", credential.token)
				case exchange:
					got = b.with(client, "POST", exchangePath, `{"auth":{"id_token":{"id":"`+credential.token+`"}}}`, "X-Auth-Token", "", "X-Idp-Id", "idp")
				case rescope:
					body := `{"auth":{"identity":{"methods":["token"],"token":{"id":"` + credential.token + `"}},"scope":{"project":{"id":"` + string(oidctest.Project1) + `"}}}}`
					got = b.with(client, "POST", tokensPath, body, "X-Auth-Token", "")
				case federate: // such a token is for no project, and opens nothing
					got = b.with(client, "POST", federationPath, "", "X-Auth-Token", "", "Authorization", "Bearer "+credential.token)
				case signature:
					got = b.with(client, "GET", identityBase+"/queues", "", "X-Auth-Token", "", "Authorization", "SDK-HMAC-SHA256 Access=a")
				}
				b.server.URL = secure
				if credential.kind == rescope || credential.kind == federate {
					if (got.status == 201) != (want == good) || want != good && got.status != 401 {
						t.Errorf("%s: got %d %s, want %q", name, got.status, got.body, want)
					}
				} else if got.code() != want || (got.status < 300) != (want == good) {
					t.Errorf("%s: got %d %s, want %q", name, got.status, got.body, want)
				}
				if got.header.Get("X-Subject-Token") != "" != (credential.kind != bearer && credential.kind != signature && want == good) {
					t.Errorf("%s: a token was issued: %t", name, got.header.Get("X-Subject-Token") != "")
				}
				// A token of ours is bound as the one it was exchanged for.
				if token := got.header.Get("X-Subject-Token"); token != "" {
					id, _, err := b.verify.VerifyToken(t.Context(), token)
					if err != nil || id.Bound() != (credential.boundTo != "") {
						t.Errorf("%s: the issued token has the identity %+v, %v", name, id, err)
					}
				}
			}
		}
	}
	if cases < 60 {
		t.Errorf("%d cases, want at least 60", cases)
	}
}

// A header in which a proxy would tell the certificate is anybody's to send.
func TestCertificatesInHeadersCountForNothing(t *testing.T) {
	authority := certtest.NewAuthority(t)
	mine := authority.Issue(t, "mine")
	b := serveBound(t, authority, false)
	token := b.idp.Access(t, oidctest.M{"cnf": oidctest.M{"x5t#S256": certtest.Thumbprint(mine).String()}})
	client := b.over(t, authority, nil)
	for _, header := range []string{"X-SSL-Client-Cert", "X-Client-Cert", "Client-Cert", "X-Forwarded-Client-Cert", "Ssl-Client-Cert", "X-Client-Certificate", "X-Amzn-Mtls-Clientcert"} {
		got := b.with(client, "GET", identityBase+"/queues", "", "X-Auth-Token", token, header, fmt.Sprintf("%x", mine.Leaf.Raw))
		if got.status != 401 || got.code() != "DMS.10240101" {
			t.Errorf("%s: got %d %s", header, got.status, got.body)
		}
	}
}

// A certificate that ends while its connection lives is no certificate any more.
func TestACertificateMayEndWhileItsConnectionLives(t *testing.T) {
	authority := certtest.NewAuthority(t)
	mine := authority.Issue(t, "mine")
	b := serveBound(t, authority, false)
	token := b.idp.Access(t, oidctest.M{"cnf": oidctest.M{"x5t#S256": certtest.Thumbprint(mine).String()}})
	client := b.over(t, authority, &mine)
	ask := func() answer { return b.with(client, "GET", identityBase+"/queues", "", "X-Auth-Token", token) }
	if got := ask(); got.status != 200 {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	b.later.Store(int64(2 * time.Hour)) // the certificate is good for one
	if got := ask(); got.status != 401 {
		t.Errorf("after the end of the certificate: got %d %s", got.status, got.body)
	}
}

// What a project admits is told to its members and to nobody else.
func TestOnlyMembersLearnThatAProjectAdmitsBoundTokensOnly(t *testing.T) {
	authority := certtest.NewAuthority(t)
	b := serveBound(t, authority, true)
	client := b.over(t, authority, nil)
	member := b.with(client, "GET", identityBase+"/queues", "", "X-Auth-Token", b.idp.Access(t, nil))
	if !strings.Contains(member.body, "bound to a client certificate") {
		t.Errorf("a member is told %s", member.body)
	}
	stranger := b.with(client, "GET", "/v2/"+string(oidctest.Project2)+"/queues", "", "X-Auth-Token", b.idp.Access(t, nil))
	if stranger.code() != "DMS.10240104" || strings.Contains(stranger.body, "certificate") {
		t.Errorf("a stranger is told %s", stranger.body)
	}
}
