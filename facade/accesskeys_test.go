package facade_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"dms/facade"
	"dms/tenancy"
	"dms/tenancy/accesskey"

	"github.com/google/go-cmp/cmp"
)

const (
	keysPath = base + "/access-keys"
	keyID    = "ABCDEFGHIJ0123456789"
	secret40 = "abcdefghijabcdefghijabcdefghijabcdefghij"
)

func aKey() tenancy.AccessKey {
	return tenancy.AccessKey{
		ID: keyID, Project: project, Description: "for <billing>", KeyScope: tenancy.KeyScope{Roles: []tenancy.Role{tenancy.Producer}},
		Created: time.Unix(1_900_000_000, 0), CreatedBy: "alice",
	}
}

// withKey lets every operation on access keys succeed with the one key.
func withKey(f *fake) {
	f.listKeys = func(context.Context, tenancy.ProjectID) ([]tenancy.AccessKey, error) {
		return []tenancy.AccessKey{aKey()}, nil
	}
	f.createKey = func(context.Context, tenancy.Project, tenancy.Identity, tenancy.NewAccessKey) (tenancy.AccessKey, accesskey.Secret, error) {
		return aKey(), secret40, nil
	}
	f.changeKey = func(context.Context, tenancy.ProjectID, string, tenancy.Identity, tenancy.KeyChange) (tenancy.AccessKey, error) {
		return aKey(), nil
	}
	f.rotateKey = func(context.Context, tenancy.ProjectID, string, tenancy.Identity, time.Duration) (tenancy.AccessKey, accesskey.Secret, error) {
		return aKey(), secret40, nil
	}
	f.deleteKey = func(context.Context, tenancy.ProjectID, string) error { return nil }
}

func TestAccessKeysAnswer(t *testing.T) {
	limited := tenancy.AccessKey{
		ID: "LIMITED", Project: project, Created: time.Unix(1_900_000_001, 0), CreatedBy: "bob", Expires: time.Unix(2_000_000_000, 0),
		LastUsed: time.Unix(1_900_000_600, 0), Rotated: time.Unix(1_900_000_700, 0), OverlapEnd: time.Unix(1_900_001_000, 0),
		KeyScope: tenancy.KeyScope{Queues: map[string][]tenancy.Permission{queueID: {tenancy.Produce, tenancy.Observe}}},
	}
	fixed := tenancy.AccessKey{ID: "FIXED", Project: project, Configured: true, KeyScope: tenancy.KeyScope{Roles: []tenancy.Role{tenancy.Manager}}}
	f := &fake{}
	withKey(f)
	f.listKeys = func(context.Context, tenancy.ProjectID) ([]tenancy.AccessKey, error) {
		return []tenancy.AccessKey{fixed, aKey(), limited}, nil
	}
	s := serve(t, f, nil)
	rest := `"description":"for \u003cbilling\u003e","roles":["producer"],"queues":[],"created_at":"2030-03-17T17:46:40Z","created_by":"alice","expires_at":null,"last_used_at":null,"rotated_at":null,"overlap_ends_at":null,"deletable":true}`
	plain := `{"id":"` + keyID + `",` + rest
	whole := `{"id":"` + keyID + `","secret":"` + secret40 + `",` + rest
	limitedItem := `{"id":"LIMITED","description":"","roles":[],"queues":[{"queue_id":"` + queueID + `","permissions":["produce","observe"]}],"created_at":"2030-03-17T17:46:41Z","created_by":"bob","expires_at":"2033-05-18T03:33:20Z","last_used_at":"2030-03-17T17:56:40Z","rotated_at":"2030-03-17T17:58:20Z","overlap_ends_at":"2030-03-17T18:03:20Z","deletable":true}`
	fixedItem := `{"id":"FIXED","description":"","roles":["manager"],"queues":[],"created_at":null,"created_by":"","expires_at":null,"last_used_at":null,"rotated_at":null,"overlap_ends_at":null,"deletable":false}`
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", keysPath, "", 200, `{"access_keys":[` + fixedItem + `,` + plain + `,` + limitedItem + `],"total":3}`},
		{"POST", keysPath, `{"roles":["producer"]}`, 201, whole},
		{"GET", keysPath + "/" + keyID, "", 200, plain},
		{"PATCH", keysPath + "/" + keyID, `{}`, 200, plain},
		{"POST", keysPath + "/" + keyID + "/rotate", "", 200, whole},
		{"DELETE", keysPath + "/" + keyID, "", 204, ""},
	} {
		if got := s.do(c.method, c.path, c.body); got.status != c.status || got.body != c.want {
			t.Errorf("%s %s\n got %d %s\nwant %d %s", c.method, c.path, got.status, got.body, c.status, c.want)
		}
	}
	if got := s.do("GET", keysPath+"/OTHER", ""); got.status != 404 || got.code() != "DMS.10240601" {
		t.Errorf("a key that is not there: %d %s", got.status, got.body)
	}
	if strings.Contains(s.log.String(), secret40) {
		t.Error("the log tells a secret")
	}
}

func TestWhatIsAskedOfAccessKeysReachesTheStore(t *testing.T) {
	var got []any
	f := &fake{
		createKey: func(_ context.Context, p tenancy.Project, by tenancy.Identity, n tenancy.NewAccessKey) (tenancy.AccessKey, accesskey.Secret, error) {
			got = append(got, p.ID, by.Subject, n)
			return aKey(), secret40, nil
		},
		changeKey: func(_ context.Context, p tenancy.ProjectID, id string, by tenancy.Identity, c tenancy.KeyChange) (tenancy.AccessKey, error) {
			got = append(got, p, id, by.Subject, c)
			return aKey(), nil
		},
		rotateKey: func(_ context.Context, p tenancy.ProjectID, id string, by tenancy.Identity, overlap time.Duration) (tenancy.AccessKey, accesskey.Secret, error) {
			got = append(got, p, id, by.Subject, overlap)
			return aKey(), secret40, nil
		},
	}
	s := serve(t, f, nil)
	pid := tenancy.ProjectID(project)
	queues := map[string][]tenancy.Permission{queueID: {tenancy.Consume, tenancy.Manage}}
	const list = `[{"queue_id":"` + queueID + `","permissions":["consume","manage"]}]`
	end := time.Date(2030, 1, 31, 11, 0, 0, 0, time.UTC)
	text := "x"
	one := keysPath + "/" + keyID
	for _, c := range []struct {
		method, path, body string
		want               []any
	}{
		{"POST", keysPath, `{"roles":["viewer","producer"],"description":"x","expires_at":"2030-01-31T12:00:00.9+01:00"}`,
			[]any{pid, "alice", tenancy.NewAccessKey{Description: "x", Expires: end, KeyScope: tenancy.KeyScope{Roles: []tenancy.Role{tenancy.Viewer, tenancy.Producer}}}}},
		{"POST", keysPath, `{"queues":` + list + `,"roles":null,"expires_at":null,"description":null}`,
			[]any{pid, "alice", tenancy.NewAccessKey{KeyScope: tenancy.KeyScope{Queues: queues}}}},
		{"PATCH", one, `{}`, []any{pid, keyID, "alice", tenancy.KeyChange{}}},
		{"PATCH", one, `{"description":"x"}`, []any{pid, keyID, "alice", tenancy.KeyChange{Description: &text}}},
		{"PATCH", one, `{"expires_at":null}`, []any{pid, keyID, "alice", tenancy.KeyChange{Expires: &time.Time{}}}},
		{"PATCH", one, `{"queues":` + list + `}`, []any{pid, keyID, "alice", tenancy.KeyChange{Scope: &tenancy.KeyScope{Queues: queues}}}},
		{"POST", one + "/rotate", ``, []any{pid, keyID, "alice", 24 * time.Hour}},
		{"POST", one + "/rotate", `{}`, []any{pid, keyID, "alice", 24 * time.Hour}},
		{"POST", one + "/rotate", `{"overlap_seconds":null}`, []any{pid, keyID, "alice", 24 * time.Hour}},
		{"POST", one + "/rotate", `{"overlap_seconds":0}`, []any{pid, keyID, "alice", time.Duration(0)}},
		{"POST", one + "/rotate", `{"overlap_seconds":60}`, []any{pid, keyID, "alice", time.Minute}},
	} {
		got = nil
		if a := s.do(c.method, c.path, c.body); a.status >= 300 {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, a.status, a.body)
			continue
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s %s %s (-want +got):\n%s", c.method, c.path, c.body, diff)
		}
	}
}

// TestAccessKeysTakeNothingElse gives, among others, every member of an answer as input.
func TestAccessKeysTakeNothingElse(t *testing.T) {
	f := &fake{}
	s := serve(t, f, nil)
	many := strings.Repeat(`{"queue_id":"`+queueID+`","permissions":["observe"]},`, 2)
	bodies := []string{
		``, `[]`, `null`, `{"roles":"viewer"}`, `{"roles":["root"]}`, `{"roles":["Viewer"]}`, `{"Roles":["viewer"]}`, `{"roles":[],"roles":[]}`,
		`{"roles":["viewer","viewer","viewer","viewer","viewer","viewer"]}`, `{"roles":[null]}`,
		`{"queues":{}}`, `{"queues":[{}]}`, `{"queues":[{"queue_id":"q","permissions":["observe"]}]}`,
		`{"queues":[{"queue_id":"` + queueID + `","permissions":["operate"]}]}`, `{"queues":[{"queue_id":"` + queueID + `","permissions":"observe"}]}`,
		`{"queues":[` + strings.TrimSuffix(many, ",") + `]}`, `{"expires_at":"tomorrow"}`, `{"expires_at":1900000000}`, `{"expires_at":"0001-01-01T00:00:00Z"}`,
		`{"description":1}`, `{"roles":["viewer"]} x`,
	}
	for _, member := range []string{"id", "secret", "created_at", "created_by", "last_used_at", "rotated_at", "overlap_ends_at", "deletable", "project", "generation"} {
		bodies = append(bodies, fmt.Sprintf(`{"roles":["viewer"],%q:"x"}`, member))
	}
	for _, body := range bodies {
		for _, target := range [][2]string{{http.MethodPost, keysPath}, {http.MethodPatch, keysPath + "/" + keyID}} {
			if got := s.do(target[0], target[1], body); got.status != 400 || !strings.HasPrefix(got.code(), "DMS.102400") {
				t.Errorf("%s %s: %d %s", target[0], body, got.status, got.body)
			}
		}
	}
	for _, body := range []string{`{"overlap_seconds":"1"}`, `{"overlap_seconds":1.5}`, `{"secret":"x"}`, `[]`, `{`} {
		if got := s.do("POST", keysPath+"/"+keyID+"/rotate", body); got.status != 400 || got.code() != "DMS.10240009" {
			t.Errorf("rotate %s: %d %s", body, got.status, got.body)
		}
	}
	if calls := f.called(); calls != "" {
		t.Errorf("refused requests went on to %s", calls)
	}
}

func TestWithoutAccessKeysThereIsNoURL(t *testing.T) {
	s := serve(t, &fake{}, func(o *facade.Options, _ *http.Server) { o.AccessKeys = nil })
	for method, path := range map[string]string{"GET": keysPath, "POST": keysPath + "/A/rotate", "DELETE": keysPath + "/A"} {
		if got := s.do(method, path, ``); got.status != 404 || got.code() != "DMS.10240406" {
			t.Errorf("%s %s: %d %s", method, path, got.status, got.body)
		}
	}
}

// TestACallerLimitedToQueuesDoesNothingElse drives every route as a caller who may
// produce into one queue.
func TestACallerLimitedToQueuesDoesNothingElse(t *testing.T) {
	const other = "00000000-0000-4000-8000-000000000000"
	f := stocked()
	s := serve(t, f, nil)
	for _, rt := range readRoutes(t) {
		if rt.needs == "public" || rt.needs == "caller" {
			continue
		}
		before := f.called()
		want := "403 DMS.10240311"
		queue := strings.Contains(rt.pattern, "{queue}")
		switch {
		case queue && (rt.needs == "produce" || rt.needs == "observe"):
			want = ""
		case strings.HasSuffix(rt.pattern, "{project}/queues") && rt.method == "GET":
			want = ""
		case strings.HasSuffix(rt.pattern, "{project}/events"):
			continue // see TestCallersOfOneQueueHearOfThatOnly
		}
		got := s.do(rt.method, rt.path(project), rt.body(), "X-Auth-Token", "limited")
		have := fmt.Sprint(got.status, " ", got.code())
		if rt.needs == "operate" && got.problem() == "access_denied" {
			have = "403 DMS.10240311" // in the shape of operators' errors
		}
		if want != "" && have != want || want == "" && got.status >= 400 {
			t.Errorf("%s %s: got %d %s, want %s", rt.method, rt.pattern, got.status, got.body, want)
		}
		if want != "" && f.called() != before {
			t.Errorf("%s %s: a refused caller reached %s", rt.method, rt.pattern, strings.TrimPrefix(f.called(), before))
		}
		if !queue {
			continue
		}
		before = f.called()
		got = s.do(rt.method, strings.Replace(rt.path(project), queueID, other, 1), rt.body(), "X-Auth-Token", "limited")
		if got.status != 404 || got.code() != "DMS.10240401" || f.called() != before {
			t.Errorf("%s %s on another queue: got %d %s", rt.method, rt.pattern, got.status, got.body)
		}
	}
	got := s.do("GET", base+"/queues", "", "X-Auth-Token", "limited")
	if !strings.HasPrefix(got.body, `{"total":1,`) || strings.Contains(got.body, other) {
		t.Errorf("the list of queues is %s", got.body)
	}
	if got := s.do("GET", base+"/queues", "", "X-Auth-Token", "unscoped"); got.status != 401 || got.code() != "DMS.10240104" {
		t.Errorf("with an unscoped token: %d %s", got.status, got.body)
	}
}
