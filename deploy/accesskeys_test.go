package deploy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"dms/deploy/deploytest"
	"dms/tenancy"
	"dms/tenancy/accesskey"
)

// madeKey is what a client knows of an access key.
type madeKey struct{ ID, Secret string }

// send sends one request through a node; prepare gives it its credential.
func send(t *testing.T, c *deploytest.Cluster, node int, method, path, body string, prepare func(*http.Request)) (status int, header http.Header, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, c.URL(t, node)+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	prepare(req)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(data)
}

// signedWith signs a request without a body.
func signedWith(t *testing.T, k madeKey) func(*http.Request) {
	return func(r *http.Request) {
		t.Helper()
		if err := accesskey.Sign(r, nil, k.ID, accesskey.Secret(k.Secret), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
}

func withToken(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("X-Auth-Token", token) }
}

// everywhere waits until a request is answered with the status by all nodes, and says
// how long that took.
func everywhere(t *testing.T, c *deploytest.Cluster, what string, status int, path string, prepare func(*http.Request)) {
	t.Helper()
	began := time.Now()
	for node := range deploytest.Size {
		waitFor(t, what, func() (string, bool) {
			got, _, answer := send(t, c, node, "GET", path, "", prepare)
			return fmt.Sprintf("node %d answers %d %s", node, got, answer), got == status
		})
	}
	t.Logf("%s: %d on all nodes after %s", what, status, time.Since(began).Round(10*time.Millisecond))
}

func TestAccessKeysOfAllNodesAreOne(t *testing.T) {
	c := deploytest.Start(t)
	project := c.AccessKey(0).Project
	queues := "/v2/" + string(project) + "/queues"
	owner := manager(t, c, 0)
	newKey := func(body string) (k madeKey) {
		t.Helper()
		owner.must(201, "POST", "/access-keys", body, &k)
		return k
	}
	t.Run("configured keys are listed", func(t *testing.T) { configuredKeys(t, c, owner) })
	t.Run("a deleted key is refused", func(t *testing.T) {
		k := newKey(`{"roles":["viewer"]}`)
		everywhere(t, c, "the new key", 200, queues, signedWith(t, k))
		manager(t, c, 1).must(204, "DELETE", "/access-keys/"+k.ID, "", nil)
		everywhere(t, c, "the deleted key", 401, queues, signedWith(t, k))
	})
	t.Run("a rotated secret is refused", func(t *testing.T) {
		k := newKey(`{"roles":["viewer"]}`)
		everywhere(t, c, "the new key", 200, queues, signedWith(t, k))
		var next madeKey
		manager(t, c, 2).must(200, "POST", "/access-keys/"+k.ID+"/rotate", `{"overlap_seconds":60}`, &next)
		everywhere(t, c, "the new secret", 200, queues, signedWith(t, next))
		everywhere(t, c, "the former secret in its overlap", 200, queues, signedWith(t, k))
		manager(t, c, 2).must(200, "POST", "/access-keys/"+k.ID+"/rotate", `{"overlap_seconds":0}`, &next)
		everywhere(t, c, "the former secret", 401, queues, signedWith(t, k))
		everywhere(t, c, "the latest secret", 200, queues, signedWith(t, next))
	})
	t.Run("tokens die with their key, and by themselves", func(t *testing.T) { tokensDie(t, c, newKey, queues) })
	t.Run("a limited key reaches its queue only", func(t *testing.T) { limitedKey(t, c, owner, newKey) })
	t.Run("wrong signatures lock the key on the node", func(t *testing.T) {
		k := newKey(`{"roles":["viewer"]}`)
		everywhere(t, c, "the new key", 200, queues, signedWith(t, k))
		wrong := madeKey{k.ID, strings.Repeat("x", 40)}
		for range 5 {
			if got, _, answer := send(t, c, 0, "GET", queues, "", signedWith(t, wrong)); got != 401 || !strings.Contains(answer, `"APIGW.0301"`) {
				t.Fatalf("a wrong signature: %d %s", got, answer)
			}
		}
		if got, _, answer := send(t, c, 0, "GET", queues, "", signedWith(t, k)); got != 401 || !strings.Contains(answer, `"APIGW.0301"`) {
			t.Errorf("after five wrong signatures: %d %s", got, answer)
		}
	})
}

// tokensDie exchanges keys for tokens and ends both ways.
func tokensDie(t *testing.T, c *deploytest.Cluster, newKey func(string) madeKey, queues string) {
	exchange := func(node int, identity, scope string) string {
		t.Helper()
		got, header, answer := send(t, c, node, "POST", "/v3/auth/tokens",
			`{"auth":{"identity":`+identity+`,"scope":`+scope+`}}`, func(*http.Request) {})
		token := header.Get("X-Subject-Token")
		if got != 201 || token == "" || strings.Contains(answer, token) {
			t.Fatalf("node %d answers %d %s", node, got, answer)
		}
		return token
	}
	byKey := func(k madeKey) string {
		return fmt.Sprintf(`{"methods":["application_credential"],"application_credential":{"id":%q,"secret":%q}}`, k.ID, k.Secret)
	}
	byToken := func(token string) string {
		return fmt.Sprintf(`{"methods":["token"],"token":{"id":%q}}`, token)
	}
	revoke := func(node int, token string) {
		t.Helper()
		got, _, answer := send(t, c, node, "DELETE", "/v3/auth/tokens", "", func(r *http.Request) {
			r.Header.Set("X-Auth-Token", token)
			r.Header.Set("X-Subject-Token", token)
		})
		if got != 204 {
			t.Fatalf("node %d answers %d %s", node, got, answer)
		}
	}
	byID := `{"project":{"id":"` + string(c.AccessKey(0).Project) + `"}}`
	k := newKey(`{"roles":["viewer"]}`)

	unscoped := exchange(0, byKey(k), `"unscoped"`)
	everywhere(t, c, "a token for no project", 401, queues, withToken(unscoped))
	everywhere(t, c, "a token for no project asks for projects", 200, "/v3/auth/projects", withToken(unscoped))
	child := exchange(0, byToken(unscoped), byID)
	lone := exchange(0, byKey(k), byID)
	everywhere(t, c, "the exchanged token", 200, queues, withToken(child))
	everywhere(t, c, "the token of the key", 200, queues, withToken(lone))
	revoke(0, unscoped)
	everywhere(t, c, "the token exchanged for a revoked one", 401, queues, withToken(child))
	everywhere(t, c, "the token that was not revoked", 200, queues, withToken(lone))
	revoke(1, lone)
	everywhere(t, c, "the revoked token", 401, queues, withToken(lone))

	last := exchange(0, byKey(k), byID)
	everywhere(t, c, "another token", 200, queues, withToken(last))
	manager(t, c, 1).must(204, "DELETE", "/access-keys/"+k.ID, "", nil)
	everywhere(t, c, "the token of a deleted key", 401, queues, withToken(last))
}

// limitedKey uses a key that may produce into one of two queues.
func limitedKey(t *testing.T, c *deploytest.Cluster, owner *caller, newKey func(string) madeKey) {
	var mine, other created
	owner.must(201, "POST", "/queues", `{"name":"mine"}`, &mine)
	owner.must(201, "POST", "/queues", `{"name":"other"}`, &other)
	k := newKey(`{"queues":[{"queue_id":"` + mine.ID + `","permissions":["produce"]}]}`)
	base := "/v2/" + string(c.AccessKey(0).Project)
	everywhere(t, c, "the limited key", 200, base+"/queues", signedWith(t, k))
	_, _, answer := send(t, c, 0, "GET", base+"/queues", "", signedWith(t, k))
	var list struct{ Queues []created }
	if err := json.Unmarshal([]byte(answer), &list); err != nil || len(list.Queues) != 1 || list.Queues[0].ID != mine.ID {
		t.Errorf("the list is %s (%v)", answer, err)
	}
	const message = `{"messages":[{"body":"x"}]}`
	for what, try := range map[string]struct {
		method, path, body string
		want               int
	}{
		"send":                      {"POST", "/queues/" + mine.ID + "/messages", message, 201},
		"show":                      {"GET", "/queues/" + mine.ID, "", 200},
		"delete":                    {"DELETE", "/queues/" + mine.ID, "", 403},
		"make groups":               {"POST", "/queues/" + mine.ID + "/groups", `{"groups":[{"name":"g"}]}`, 403},
		"send into another queue":   {"POST", "/queues/" + other.ID + "/messages", message, 404},
		"show another queue":        {"GET", "/queues/" + other.ID, "", 404},
		"make a queue":              {"POST", "/queues", `{"name":"more"}`, 403},
		"make a key":                {"POST", "/access-keys", `{"roles":["viewer"]}`, 403},
		"see the tags of all":       {"GET", "/queue/tags", "", 403},
		"see a queue by its tags":   {"POST", "/queue/resource_instances/action", `{"action":"filter"}`, 403},
		"see the quotas of all":     {"GET", "/quotas", "", 403},
		"delete its own access key": {"DELETE", "/access-keys/" + k.ID, "", 403},
	} {
		got, _, answer := send(t, c, 1, try.method, base+try.path, try.body, func(r *http.Request) {
			if err := accesskey.Sign(r, []byte(try.body), k.ID, accesskey.Secret(k.Secret), time.Now()); err != nil {
				t.Fatal(err)
			}
		})
		if got != try.want {
			t.Errorf("%s: %d %s, want %d", what, got, bytes.TrimSpace([]byte(answer)), try.want)
		}
	}
}

// configuredKeys looks at the keys that every cluster has from its configuration.
func configuredKeys(t *testing.T, c *deploytest.Cluster, owner *caller) {
	var list struct {
		AccessKeys []struct {
			ID        string
			Roles     []tenancy.Role
			Deletable bool
		} `json:"access_keys"`
	}
	owner.must(200, "GET", "/access-keys", "", &list)
	if len(list.AccessKeys) != 1 || list.AccessKeys[0].ID != c.AccessKey(0).ID || list.AccessKeys[0].Deletable {
		t.Errorf("the list is %+v", list)
	}
	owner.must(403, "DELETE", "/access-keys/"+c.AccessKey(0).ID, "", nil)
	owner.must(404, "DELETE", "/access-keys/"+c.AccessKey(1).ID, "", nil)
}
