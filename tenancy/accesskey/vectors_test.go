package accesskey

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dms/tenancy"
)

const project tenancy.ProjectID = "77b6a44cba5143ab91d13ab9a8ff44fd"

// testKeys are the key of the published example and the one that real clients signed
// the other files of testdata with.
func testKeys() []Key {
	return []Key{
		{ID: "QTWAOYTTINDUT2QVKYUC", Secret: "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc", Project: project, Roles: []tenancy.Role{tenancy.Viewer}},
		{ID: "VECTORACCESSKEY00001", Secret: "vector-secret-vector-secret-vector-secre", Project: project, ProjectName: "demo", Roles: []tenancy.Role{tenancy.Manager}},
	}
}

// vector is one recorded request. Requests are read by net/http, as a server would.
type vector struct {
	name string
	raw  string
}

func vectors(t *testing.T) []vector {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.http")
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) != 6 {
		t.Fatalf("testdata has %d recorded requests, want 6", len(paths))
	}
	all := make([]vector, len(paths))
	for i, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		head, body, _ := strings.Cut(string(b), "\n\n")
		all[i] = vector{
			name: strings.TrimSuffix(filepath.Base(path), ".http"),
			raw:  strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n" + body,
		}
	}
	return all
}

func read(t *testing.T, raw string) (*http.Request, []byte) {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		t.Fatalf("read request: %v\n%s", err, raw)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatalf("read body: %v\n%s", err, raw)
	}
	return r, body
}

func at(t *testing.T, r *http.Request) time.Time {
	t.Helper()
	when, err := time.Parse(dateLayout, r.Header.Get(dateHeader))
	if err != nil {
		t.Fatal(err)
	}
	return when
}

func verifier(t testing.TB, now time.Time) *Verifier {
	t.Helper()
	v, err := New(testKeys(), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// mustRefuse fails the test if the request is accepted, or refused with an error of
// another kind than all other refusals.
func mustRefuse(t *testing.T, v *Verifier, r *http.Request, body []byte) {
	t.Helper()
	id, err := v.VerifySignature(r, body)
	if !errors.Is(err, tenancy.ErrUnauthenticated) {
		t.Errorf("got %+v, %v, want ErrUnauthenticated", id, err)
	}
	if !cmp.Equal(id, tenancy.Identity{}) {
		t.Errorf("a refused request has the identity %+v", id)
	}
}

func TestRequestsOfRealClientsAreAccepted(t *testing.T) {
	for _, tt := range vectors(t) {
		t.Run(tt.name, func(t *testing.T) {
			r, body := read(t, tt.raw)
			got, err := verifier(t, at(t, r)).VerifySignature(r, body)
			if err != nil {
				t.Fatal(err)
			}
			key := testKeys()[1]
			if tt.name == "access-published" {
				key = testKeys()[0]
			}
			want := tenancy.Identity{
				Issuer: "access-key", Subject: key.ID, KeyID: key.ID,
				Grants: map[tenancy.ProjectID]tenancy.Grant{project: {Name: key.ProjectName, Roles: key.Roles}},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPublishedCanonicalRequest(t *testing.T) {
	for _, tt := range vectors(t) {
		if tt.name != "access-published" {
			continue
		}
		r, body := read(t, tt.raw)
		all, err := canonicals(r, body, []string{"content-type", "host", "x-sdk-date"}, false)
		if err != nil {
			t.Fatal(err)
		}
		const want = "b25362e603ee30f4f25e7858e8a7160fd36e803bb2dfe206278659d71a9bcd7a"
		if got := hashHex([]byte(all[0])); got != want {
			t.Errorf("hash of the canonical request is %s, want %s:\n%s", got, want, all[0])
		}
		return
	}
	t.Fatal("no published request in testdata")
}

func TestEverySignedPartMatters(t *testing.T) {
	for _, tt := range vectors(t) {
		r, _ := read(t, tt.raw)
		auth, err := parseAuthorization(r.Header.Get("Authorization"))
		if err != nil {
			t.Fatal(err)
		}
		changes := map[string]func(r *http.Request, body *[]byte){
			"method":              func(r *http.Request, _ *[]byte) { r.Method = http.MethodPut },
			"path":                func(r *http.Request, _ *[]byte) { r.URL.Path += "x" },
			"path case":           func(r *http.Request, _ *[]byte) { r.URL.Path = strings.ToUpper(r.URL.Path) },
			"path segment":        func(r *http.Request, _ *[]byte) { r.URL.Path += "/x" },
			"double slash":        func(r *http.Request, _ *[]byte) { r.URL.Path = "/" + r.URL.Path },
			"query added":         func(r *http.Request, _ *[]byte) { r.URL.RawQuery += "&zz=1" },
			"query replaced":      func(r *http.Request, _ *[]byte) { r.URL.RawQuery = "zz=1" },
			"query broken":        func(r *http.Request, _ *[]byte) { r.URL.RawQuery += "&a=%zz" },
			"body changed":        func(_ *http.Request, b *[]byte) { *b = append(bytes.Clone(*b), 'x') },
			"body and hash added": func(r *http.Request, b *[]byte) { r.Header.Set(contentHeader, hashHex(*b)); *b = []byte("other") },
			"unsigned body":       func(r *http.Request, _ *[]byte) { r.Header.Set(contentHeader, unsignedPayload) },
			"hash twice": func(r *http.Request, b *[]byte) {
				r.Header[contentHeader] = []string{hashHex(*b), hashHex(*b)}
			},
			"authorization twice": func(r *http.Request, _ *[]byte) {
				r.Header.Add("Authorization", r.Header.Get("Authorization"))
			},
			"no authorization": func(r *http.Request, _ *[]byte) { r.Header.Del("Authorization") },
		}
		for _, name := range auth.headers {
			if name == "host" {
				changes["host"] = func(r *http.Request, _ *[]byte) { r.Host += "x" }
				continue
			}
			changes[name+" changed"] = func(r *http.Request, _ *[]byte) { r.Header.Set(name, r.Header.Get(name)+"1") }
			changes[name+" removed"] = func(r *http.Request, _ *[]byte) { r.Header.Del(name) }
			changes[name+" twice"] = func(r *http.Request, _ *[]byte) { r.Header.Add(name, r.Header.Get(name)) }
		}
		for what, change := range changes {
			t.Run(tt.name+"/"+what, func(t *testing.T) {
				r, body := read(t, tt.raw)
				v := verifier(t, at(t, r))
				change(r, &body)
				mustRefuse(t, v, r, body)
			})
		}
	}
}

func TestEveryByteOfTheAuthorizationMatters(t *testing.T) {
	for _, tt := range vectors(t) {
		t.Run(tt.name, func(t *testing.T) {
			r, body := read(t, tt.raw)
			v := verifier(t, at(t, r))
			header := r.Header.Get("Authorization")
			for i := range len(header) {
				for bit := range 8 {
					changed := []byte(header)
					changed[i] ^= 1 << bit
					r.Header["Authorization"] = []string{string(changed)}
					if _, err := v.VerifySignature(r, body); !errors.Is(err, tenancy.ErrUnauthenticated) {
						t.Fatalf("bit %d of byte %d: got %v, want ErrUnauthenticated:\n%s", bit, i, err, changed)
					}
				}
			}
			for i := range len(header) {
				r.Header["Authorization"] = []string{header[:i]}
				mustRefuse(t, v, r, body)
			}
		})
	}
}

func TestOrderOfHeadersAndOfQueryDoesNotMatter(t *testing.T) {
	for _, tt := range vectors(t) {
		if !strings.HasPrefix(tt.name, "access") {
			continue
		}
		r, body := read(t, tt.raw)
		pairs := strings.Split(r.URL.RawQuery, "&")
		slices.Reverse(pairs)
		r.URL.RawQuery = strings.Join(pairs, "&")
		if _, err := verifier(t, at(t, r)).VerifySignature(r, body); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
