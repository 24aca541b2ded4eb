package deploy

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dms/tenancy"
	"dms/tenancy/claims"

	"github.com/google/go-cmp/cmp"
)

func TestExampleConfigurationLoads(t *testing.T) {
	c, err := Load("dms.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Node = "n1"
	want.DataFolder = filepath.Join(here, "data")
	want.KeysFolder = filepath.Join(here, "keys")
	want.Cluster.Listen = "0.0.0.0:6222"
	want.Cluster.Peers = []Peer{{"n1", "10.0.0.1:6222"}, {"n2", "10.0.0.2:6222"}, {"n3", "10.0.0.3:6222"}}
	want.Tenants.AutoProvision = true
	want.IdentityProviders = []IdentityProvider{{
		ID: "example", Issuer: "https://login.example.com/realms/main", Audience: []string{"dms"},
		Claims: ClaimExpressions{
			Subject: claims.Default().Subject, Projects: claims.Default().Projects, Roles: `["viewer"]`,
			Rules: []ClaimRule{{`claims.?email_verified.orValue(true) == true`, "the address is not verified"}},
		},
		Console: &ConsoleClient{Name: "Example", ClientID: "dms-console", Scopes: []string{"profile", "offline_access"}},
	}}
	want.AccessKeys = []AccessKey{{
		ID: "EXAMPLEKEY01", SecretFile: filepath.Join(here, "secrets/examplekey01"),
		Project: "8f14e45fceea167a5a36dedd4bea2543", ProjectName: "shop", Roles: []tenancy.Role{tenancy.Manager},
	}}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

// minimal is the shortest file that is accepted.
const minimal = `
node: n1
cluster:
  peers:
    - {name: n1, address: "10.0.0.1:6222"}
    - {name: n2, address: "10.0.0.2:6222"}
    - {name: n3, address: "10.0.0.3:6222"}
`

// oneProvider is an identity provider with one more key.
func oneProvider(more string) string {
	return "identity_providers:\n  - id: a\n    issuer: \"https://a.example\"\n    audience: [dms]\n    " + more + "\n"
}

func load(t *testing.T, text string) (Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dms.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(path)
}

func TestMissingKeysKeepTheirDefaults(t *testing.T) {
	c, err := load(t, minimal)
	if err != nil {
		t.Fatal(err)
	}
	if want := "127.0.0.1:8080"; c.API.Listen != want {
		t.Errorf("API listens on %q, want %q", c.API.Listen, want)
	}
	if c.Tenants.AutoProvision {
		t.Error("projects are provisioned although the file does not say so")
	}
}

func TestLoadRefuses(t *testing.T) {
	tests := []struct {
		name, text, want string
	}{
		{"an empty file", "", "the file is empty"},
		{"an unknown key", minimal + "dat_folder: x\n", `line 8: unknown key "dat_folder"`},
		{"an unknown key inside", minimal + "api:\n  listn: x\n", `line 9: unknown key "listn"`},
		{"a key given twice", minimal + "node: n2\n", `"node" already defined`},
		{"a second document", minimal + "---\nnode: n2\n", "more than one document"},
		{"a wrong type", minimal + "tenants: {limits: {queues: many}}\n", "cannot unmarshal"},
		{"a size without sense", minimal + "disk: {limit: 3.5GiB}\n", "not a size"},
		{"no node", strings.Replace(minimal, "node: n1", "log: {level: info}", 1), "node: "},
		{"a stranger in the cluster", strings.Replace(minimal, "node: n1", "node: n4", 1), "this node, n4, is not among them"},
		{"two peers", strings.Replace(minimal, `    - {name: n3, address: "10.0.0.3:6222"}`+"\n", "", 1), "2 peers, want 3"},
		{"a peer twice", strings.Replace(minimal, "name: n3", "name: n2", 1), "n2 is given twice"},
		{"an address twice", strings.Replace(minimal, "10.0.0.3", "10.0.0.2", 1), "10.0.0.2:6222 is given twice"},
		{"a peer without a port", strings.Replace(minimal, "10.0.0.3:6222", "10.0.0.3:0", 1), "no usable port"},
		{"plaintext to the world", minimal + "api: {listen: \"0.0.0.0:8080\"}\n", "without TLS"},
		{"a host name without TLS", minimal + "api: {listen: \"localhost.example.com:8080\"}\n", "without TLS"},
		{"every address without TLS", minimal + "api: {listen: \":8080\"}\n", "has no host"},
		{"half a certificate", minimal + "api: {tls_cert_file: x}\n", "belong together"},
		{"an issuer without audience", minimal + "identity_providers: [{id: a, issuer: \"https://a.example\"}]\n", "audience: missing"},
		{"an empty audience", minimal + "identity_providers: [{id: a, issuer: \"https://a.example\", audience: [\"\"]}]\n", "an empty value"},
		{"no issuer", minimal + "identity_providers: [{id: a, audience: [dms]}]\n", "issuer: missing"},
		{"a plaintext issuer", minimal + "identity_providers: [{id: a, issuer: \"http://a.example\", audience: [dms]}]\n", "want https"},
		{"an issuer with a query", minimal + "identity_providers: [{id: a, issuer: \"https://a.example?x=y\", audience: [dms]}]\n", "not the URL of an issuer"},
		{"the development provider", minimal + "identity_providers: [{id: dev, issuer: \"http://127.0.0.1:8080/idp\", audience: [dms]}]\n", "development identity provider"},
		{"the development provider with TLS", minimal + "identity_providers: [{id: dev, issuer: \"https://dms.example/idp/\", audience: [dms]}]\n", "development identity provider"},
		{"an unknown claim variable", minimal + oneProvider("claims: {subject: claim.sub}"), "identity_providers[0]: identity provider a: claims: subject: line 1, column 1: undeclared reference to 'claim'"},
		{"projects of the wrong type", minimal + oneProvider("claims: {projects: '\"x\"'}"), "identity provider a: claims: projects: line 1, column 1: results in string, want list"},
		{"a broken expression on its second line", minimal + oneProvider("claims: {roles: \"[\\n  'viewer' 'x']\"}"), "identity provider a: claims: roles: line 2, column "},
		{"a rule that is no condition", minimal + oneProvider("claims: {rules: [{expression: claims.ok}]}"), "identity provider a: claims: rules[0]: line 1, column 1: results in dyn, want bool"},
		{"a fixed claim of old", minimal + oneProvider("projects_claim: x"), `unknown key "projects_claim"`},
		{"clocks that differ by an hour", minimal + oneProvider("clock_skew: 1h"), "skew is 1h0m0s, want 1s to 5m0s"},
		{"tokens for a year", minimal + oneProvider("max_lifetime: 8760h"), "life is 8760h0m0s, want 1m0s to 720h0m0s"},
		{"an outage of an hour", minimal + oneProvider("stale_keys: 1h"), "stale keys is 1h0m0s, want 24h0m0s to 720h0m0s"},
		{"a console without a client", minimal + oneProvider("console: {name: A}"), "identity_providers[0].console.client_id: missing"},
		{"a console with a secret in the file", minimal + oneProvider("console: {client_id: a, client_secret: b}"), `unknown key "client_secret"`},
		{"two scopes in one", minimal + oneProvider("console: {client_id: a, scopes: [\"a b\"]}"), `identity_providers[0].console.scopes: "a b" is not one scope`},
		{"a console in plain text", minimal + "api: {listen: \"10.0.0.1:8080\", insecure_plaintext: true}\n" + oneProvider("console: {client_id: a}"), "browsers would send their session in plain text"},
		{"sessions that never end", minimal + "console: {session_life: 1000h}\n", "console.session_life"},
		{"sessions that outlive themselves", minimal + "console: {session_idle: 2h, session_life: 1h}\n", "console.session_life"},
		{"sessions that end at once", minimal + "console: {session_idle: 1ms}\n", "console.session_idle"},
		{"a negative number of streams", minimal + "limits: {streams_per_source: -1}\n", "limits.streams_per_source"},
		{"a development option", minimal + "dev: true\n", `unknown key "dev"`},
		{"a development section", minimal + "development: {identity_provider: true}\n", `unknown key "development"`},
		{"a secret in the file", minimal + "access_keys: [{id: ABCD, secret: x}]\n", `unknown key "secret"`},
		{"a key without a secret", minimal + "access_keys: [{id: ABCD, project: 8f14e45fceea167a5a36dedd4bea2543, roles: [viewer]}]\n", "secret_file: missing"},
		{"a bad project", minimal + "access_keys: [{id: ABCD, secret_file: x, project: 8F14, roles: [viewer]}]\n", "malformed project id"},
		{"an unknown role", minimal + "access_keys: [{id: ABCD, secret_file: x, project: 8f14e45fceea167a5a36dedd4bea2543, roles: [root]}]\n", "unknown role"},
		{"no role", minimal + "access_keys: [{id: ABCD, secret_file: x, project: 8f14e45fceea167a5a36dedd4bea2543}]\n", "roles: missing"},
		{"too many groups", minimal + "tenants: {limits: {groups_per_queue: 101}}\n", "limit of groups"},
		{"a public URL with a path", minimal + "api: {public_url: \"https://dms.example.com/v2\"}\n", "api.public_url"},
		{"a public URL without a scheme", minimal + "api: {public_url: dms.example.com}\n", "api.public_url"},
		{"a public URL of another scheme", minimal + "api: {public_url: \"ftp://dms.example.com\"}\n", "api.public_url"},
		{"a region with a blank", minimal + "api: {region: \"a b\"}\n", "api.region"},
		{"no region", minimal + "api: {region: \"\"}\n", "api.region"},
		{"no domain", minimal + "api: {domain: \"\"}\n", "api.domain"},
		{"keys that end at once", minimal + "tenants: {access_key_life: 1m}\n", "access_key_life"},
		{"an unknown level", minimal + "log: {level: loud}\n", "log.level"},
		{"an unknown format", minimal + "log: {format: xml}\n", "log.format"},
		{"no time to stop", minimal + "stop: {limit: 0s}\n", "stop.limit"},
		{"a negative limit", minimal + "limits: {bytes_per_second: 1KiB, polls_per_source: -1}\n", "limits.polls_per_source"},
		{"records for an hour", minimal + "audit: {keep: 1h}\n", "audit.keep"},
		{"a proxy that is no network", minimal + "api: {trusted_proxies: [10.0.0.1]}\n", "10.0.0.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(t, tt.text)
			if err == nil {
				t.Fatalf("accepted, want an error with %q", tt.want)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error is %q, want it to contain %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "deploy.Config") {
				t.Errorf("error %q speaks of Go types", err)
			}
		})
	}
}

func TestEnvironmentConfiguresNothing(t *testing.T) {
	t.Setenv("DMS_ENDPOINT", "http://192.0.2.1:1")
	t.Setenv("DMS_ADMIN", "http://192.0.2.1:2")
	t.Setenv("DMS_NODE", "n3")
	with, err := load(t, minimal)
	if err != nil {
		t.Fatal(err)
	}
	if with.Node != "n1" || !cmp.Equal(with.API, Default().API, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })) || with.Admin != Default().Admin {
		t.Errorf("the environment changed the configuration: %+v", with)
	}
}

func TestSizes(t *testing.T) {
	good := map[string]Bytes{"0": 0, "17": 17, "1KiB": 1 << 10, "20GiB": 20 << 30, "20 GiB": 20 << 30, "3MiB": 3 << 20, "2TiB": 2 << 40,
		"9223372036854775807": 1<<63 - 1}
	for text, want := range good {
		if got, err := ParseBytes(text); err != nil || got != want {
			t.Errorf("ParseBytes(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "GiB", "-1", "1.5GiB", "1GB", "1 G", "1  GiB", "+1", "0x10", "1_000", "9223372036854775808", "8388608TiB", "1GiB "} {
		if got, err := ParseBytes(text); err == nil {
			t.Errorf("ParseBytes(%q) = %d, want an error", text, got)
		}
	}
}

func FuzzLoad(f *testing.F) {
	example, err := os.ReadFile("dms.example.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example)
	f.Add([]byte(minimal))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parse(data)
		if err != nil || c.Validate() != nil {
			return
		}
		if len(c.Cluster.Peers) != replicas || c.API.TLSCertFile == "" && !c.API.InsecurePlaintext && !isLoopback(c.API.Listen) {
			t.Errorf("accepted %+v", c)
		}
	})
}
