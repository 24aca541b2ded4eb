package facade

import (
	"errors"
	"testing"

	"dms/facade/strictjson"
	"dms/mapping/dms"
	"dms/tenancy"
)

// mustBeSaid fails unless an error has a sentence for the caller.
func mustBeSaid(t *testing.T, err error, body []byte) {
	t.Helper()
	_, ours := errors.AsType[*dms.Error](err)
	_, syntax := errors.AsType[*strictjson.Error](err)
	if err != nil && !ours && !syntax {
		t.Errorf("%q: %v is no answer", body, err)
	}
}

func FuzzParseAuth(f *testing.F) {
	for _, s := range []string{
		`{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"a","password":"b","domain":{"name":"c"}}}},"scope":{"project":{"name":"p","domain":{"id":"d"}}}}}`,
		`{"auth":{"identity":{"methods":["token"],"token":{"id":"t"}},"scope":"unscoped"}}`,
		`{"auth":{"identity":{"methods":["application_credential"],"application_credential":{"id":"a","secret":"s"}},"scope":{"unscoped":{}}}}`,
		`{"auth":{"identity":{"methods":[],"token":{"id":null}},"scope":null}}`, `{`, ``,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := parseAuth(body)
		mustBeSaid(t, err, body)
		if err == nil && (q.secret == "" || q.method == "" || (q.user == "") != (q.method == methodToken)) {
			t.Errorf("%q is read as %+v", body, q)
		}
		if err == nil && q.scope.project && (q.scope.domain || q.scope.unscoped) {
			t.Errorf("%q has two scopes: %+v", body, q.scope)
		}
	})
}

func FuzzParseKeyChange(f *testing.F) {
	for _, s := range []string{
		`{"description":"d","roles":["viewer"],"expires_at":"2030-01-31T12:00:00Z"}`,
		`{"queues":[{"queue_id":"9bf46390-38a2-462d-b392-4d5b2d519c55","permissions":["produce","consume"]}],"expires_at":null}`,
		`{"roles":[],"queues":[]}`, `{"expires_at":"0001-01-01T00:00:00Z"}`, `{}`, `[`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		k, err := parseKeyChange(body)
		mustBeSaid(t, err, body)
		if err != nil || k.Scope == nil {
			return
		}
		if len(k.Scope.Queues) > tenancy.MaxKeyQueues || len(k.Scope.Roles) > 5 {
			t.Errorf("%q is read as %d queues and %d roles", body, len(k.Scope.Queues), len(k.Scope.Roles))
		}
		for queue := range k.Scope.Queues {
			if _, err := dms.ParseQueueID(queue); err != nil {
				t.Errorf("%q has the queue %q", body, queue)
			}
		}
	})
}
