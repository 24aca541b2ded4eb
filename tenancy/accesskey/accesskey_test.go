package accesskey

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"dms/tenancy"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// signed returns a request as a server receives it, signed at noon in the given form.
func signed(t testing.TB, f form, scope string, body []byte) *http.Request {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/v2/"+string(project)+"/queues?a=1&b=", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Project-Id", string(project))
	key := testKeys()[1]
	if err := signAs(f, r, body, key.ID, key.Secret, scope, noon); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestOurSignatureIsAcceptedInEveryForm(t *testing.T) {
	scopes := []string{"", "20261122///sdk_request", "20261122/eu-de/dms"}
	for i, f := range forms() {
		for _, body := range []string{"", "{}\n"} {
			r := signed(t, f, scopes[i], []byte(body))
			if _, err := verifier(t, noon).VerifySignature(r, []byte(body)); err != nil {
				t.Errorf("form %d, body %q: %v", i, body, err)
			}
		}
	}
}

func TestSignedRequestSurvivesTheWire(t *testing.T) {
	key := testKeys()[1]
	v := verifier(t, noon)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			_, err = v.VerifySignature(r, body)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	for _, target := range []string{"/", "", "/a%20b/c%2Fd?x=%20&y&tag=2&tag=1", "/v2/p/queues?q=ä+b", "/%7Euser/"} {
		for _, body := range []string{"", `{"a":1}`} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+target, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if err := Sign(r, []byte(body), key.ID, key.Secret, noon); err != nil {
				t.Fatal(err)
			}
			resp, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Errorf("%s with body %q: got %d, %s, %v", target, body, resp.StatusCode, text, err)
			}
		}
	}
}

func TestSkewOfTheDate(t *testing.T) {
	f := forms()[0]
	for _, tt := range []struct {
		clock time.Time
		ok    bool
	}{
		{noon, true},
		{noon.Add(15 * time.Minute), true},
		{noon.Add(-15 * time.Minute), true},
		{noon.Add(15*time.Minute + time.Nanosecond), false},
		{noon.Add(-15*time.Minute - time.Nanosecond), false},
		{noon.Add(24 * time.Hour), false},
		{time.Time{}, false},
	} {
		_, err := verifier(t, tt.clock).VerifySignature(signed(t, f, "", nil), nil)
		if got := err == nil; got != tt.ok {
			t.Errorf("clock %s from the date: accepted %t, want %t (%v)", tt.clock.Sub(noon), got, tt.ok, err)
		}
	}
}

func TestDateMustBeWellFormed(t *testing.T) {
	f := forms()[0]
	key := testKeys()[1]
	for _, date := range []string{
		"", "20261122T120000", "2026-11-22T12:00:00Z", "20261122T120000z", "20261122T120000.0Z", "20261122T240000Z",
		"20261322T120000Z", "20261122T126000Z", " 20261122T120000Z", "20261122T120000Z\x00", "Sun, 22 Nov 2026 12:00:00 GMT",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header[http.CanonicalHeaderKey(dateHeader)] = []string{date}
		all, err := canonicals(r, nil, []string{dateHeader}, false)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", fmt.Sprintf("%s Access=%s, SignedHeaders=%s, Signature=%s",
			sdkAlgorithm, key.ID, dateHeader, f.sign(key.ID, key.Secret, "", date, all[0])))
		mustRefuse(t, verifier(t, noon), r, nil)
	}
}

func TestScopeMustBeOfTheSameDay(t *testing.T) {
	for i, scope := range map[int]string{1: "20261121///sdk_request", 2: "20261123/eu-de/dms"} {
		mustRefuse(t, verifier(t, noon), signed(t, forms()[i], scope, nil), nil)
	}
}

func TestUnknownKeyIsRefusedEvenWithTheDecoysSecret(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if err := Sign(r, nil, "UNKNOWN", decoySecret, noon); err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, verifier(t, noon), r, nil)
}

func TestKeysAreNotConfused(t *testing.T) {
	keys := testKeys()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if err := Sign(r, nil, keys[0].ID, keys[1].Secret, noon); err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, verifier(t, noon), r, nil)
}

func TestDeclaredBodyHash(t *testing.T) {
	key := testKeys()[1]
	body := []byte(`{"a":1}`)
	sign := func(declared string) *http.Request {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.Header.Set(contentHeader, declared)
		if err := Sign(r, body, key.ID, key.Secret, noon); err != nil {
			t.Fatal(err)
		}
		return r
	}
	v := verifier(t, noon)
	if _, err := v.VerifySignature(sign(hashHex(body)), body); err != nil {
		t.Errorf("true hash: %v", err)
	}
	mustRefuse(t, v, sign(hashHex(body)), []byte("other"))
	if _, err := v.VerifySignature(sign(unsignedPayload), []byte("any body")); err != nil {
		t.Errorf("unsigned body: %v", err)
	}
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.Header.Set(contentHeader, "ANYTHING")
	if err := Sign(r, body, key.ID, key.Secret, noon); err == nil {
		t.Error("a false hash was signed")
	}
}

func TestMalformedAuthorizationIsRefused(t *testing.T) {
	const (
		id  = "VECTORACCESSKEY00001"
		sig = "f5064577847babe5fd8e44a9ef84e00a703f75c056fc094d90aa6e89624b00a1"
	)
	many := make([]string, maxSignedHeaders)
	for i := range many {
		many[i] = fmt.Sprintf("a%04d", i)
	}
	v := verifier(t, noon)
	for name, header := range map[string]string{
		"empty":                 "",
		"algorithm only":        "SDK-HMAC-SHA256",
		"other algorithm":       "SDK-HMAC-SHA512 Access=" + id + ", SignedHeaders=x-sdk-date, Signature=" + sig,
		"algorithm in lower":    "sdk-hmac-sha256 Access=" + id + ", SignedHeaders=x-sdk-date, Signature=" + sig,
		"derived with access":   "V11-HMAC-SHA256 Access=" + id + ", SignedHeaders=x-sdk-date, Signature=" + sig,
		"basic":                 "Basic dXNlcjpwYXNzd29yZA==",
		"bearer":                "Bearer x",
		"no key":                "SDK-HMAC-SHA256 Access=, SignedHeaders=x-sdk-date, Signature=" + sig,
		"long key":              "SDK-HMAC-SHA256 Access=" + strings.Repeat("a", 65) + ", SignedHeaders=x-sdk-date, Signature=" + sig,
		"key with scope":        "SDK-HMAC-SHA256 Access=" + id + "/20261122, SignedHeaders=x-sdk-date, Signature=" + sig,
		"scope too short":       "SDK-HMAC-SHA256 Credential=" + id + "/20261122//sdk_request, SignedHeaders=x-sdk-date, Signature=" + sig,
		"scope too long":        "SDK-HMAC-SHA256 Credential=" + id + "/20261122////sdk_request, SignedHeaders=x-sdk-date, Signature=" + sig,
		"scope with other end":  "SDK-HMAC-SHA256 Credential=" + id + "/20261122///aws4_request, SignedHeaders=x-sdk-date, Signature=" + sig,
		"scope with bad byte":   "SDK-HMAC-SHA256 Credential=" + id + "/20261122/a\nb//sdk_request, SignedHeaders=x-sdk-date, Signature=" + sig,
		"derived too long":      "V11-HMAC-SHA256 Credential=" + id + "/20261122/a/b/sdk_request, SignedHeaders=x-sdk-date, Signature=" + sig,
		"date not signed":       "SDK-HMAC-SHA256 Access=" + id + ", SignedHeaders=host, Signature=" + sig,
		"nothing signed":        "SDK-HMAC-SHA256 Access=" + id + ", SignedHeaders=, Signature=" + sig,
		"headers twice":         "SDK-HMAC-SHA256 Access=" + id + ", SignedHeaders=host;host;x-sdk-date, Signature=" + sig,
		"headers not sorted":    "SDK-HMAC-SHA256 Access=" + id + ", SignedHeaders=x-sdk-date;host, Signature=" + sig,
		"headers in upper case": "SDK-HMAC-SHA256 Access=" + id + ", SignedHeaders=Host;x-sdk-date, Signature=" + sig,
		"empty header name":     "SDK-HMAC-SHA256 Access=" + id + ", SignedHeaders=;x-sdk-date, Signature=" + sig,
		"too many headers":      "SDK-HMAC-SHA256 Access=" + id + ", SignedHeaders=" + strings.Join(many, ";") + ";x-sdk-date, Signature=" + sig,
		"signature upper case":  "SDK-HMAC-SHA256 Access=" + id + ", SignedHeaders=x-sdk-date, Signature=" + strings.ToUpper(sig),
		"signature short":       "SDK-HMAC-SHA256 Access=" + id + ", SignedHeaders=x-sdk-date, Signature=" + sig[1:],
		"signature empty":       "SDK-HMAC-SHA256 Access=" + id + ", SignedHeaders=x-sdk-date, Signature=",
		"parameters swapped":    "SDK-HMAC-SHA256 SignedHeaders=x-sdk-date, Access=" + id + ", Signature=" + sig,
		"parameter added":       "SDK-HMAC-SHA256 Access=" + id + ", SignedHeaders=x-sdk-date, Signature=" + sig + ", Extra=1",
		"huge":                  "SDK-HMAC-SHA256 Access=" + id + ", SignedHeaders=x-sdk-date, Signature=" + sig + strings.Repeat(" ", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parseAuthorization(header); err == nil {
				t.Errorf("parsed: %.200s", header)
			}
			r := signed(t, forms()[0], "", nil)
			r.Header["Authorization"] = []string{header}
			mustRefuse(t, v, r, nil)
		})
	}
}

func TestUppercaseSignatureOfARightRequestIsRefused(t *testing.T) {
	r := signed(t, forms()[0], "", nil)
	head, sig, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
	r.Header.Set("Authorization", head+"Signature="+strings.ToUpper(sig))
	mustRefuse(t, verifier(t, noon), r, nil)
}

func TestNewRefusesBadKeysWithoutShowingTheirSecrets(t *testing.T) {
	good := testKeys()[1]
	const secret = "top-secret-top-secret"
	for name, change := range map[string]func(*Key){
		"no id":         func(k *Key) { k.ID = "" },
		"id with slash": func(k *Key) { k.ID = "a/b" },
		"no secret":     func(k *Key) { k.Secret = "" },
		"short secret":  func(k *Key) { k.Secret = "top-secret-top-" },
		"no project":    func(k *Key) { k.Project = "" },
		"no roles":      func(k *Key) { k.Roles = nil },
		"other role":    func(k *Key) { k.Roles = []tenancy.Role{"root"} },
		"id twice":      func(k *Key) {},
	} {
		k := good
		k.Secret = secret
		change(&k)
		_, err := New([]Key{good, k}, nil)
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), "top-secret") {
			t.Errorf("%s: the error shows the secret: %v", name, err)
		}
	}
}

func TestSecretsDoNotPrintThemselves(t *testing.T) {
	k := Key{ID: "A", Secret: "top-secret-top-secret"}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("key", "key", k, "secret", k.Secret)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("key", "secret", k.Secret)
	fmt.Fprintf(&log, "%v %+v %#v %s %q", k, k, k, k.Secret, k.Secret)
	if strings.Contains(log.String(), "top-secret") {
		t.Errorf("the secret is shown: %s", log.String())
	}
}

func TestIsTellsSignaturesFromOtherCredentials(t *testing.T) {
	for header, want := range map[string]bool{
		"SDK-HMAC-SHA256 Access=x": true, "V11-HMAC-SHA256 Credential=x": true,
		"Bearer x": false, "": false, "SDK-HMAC-SHA2567 x": false,
	} {
		if got := Is(header); got != want {
			t.Errorf("Is(%q) = %t, want %t", header, got, want)
		}
	}
}

func FuzzAuthorization(f *testing.F) {
	f.Add("SDK-HMAC-SHA256 Access=A, SignedHeaders=host;x-sdk-date, Signature=" + strings.Repeat("0", 64))
	f.Add("SDK-HMAC-SHA256 Credential=A/20261122///sdk_request, SignedHeaders=x-sdk-date, Signature=" + strings.Repeat("a", 64))
	f.Add("V11-HMAC-SHA256 Credential=A/20261122/r/s, SignedHeaders=x-sdk-date,Signature=" + strings.Repeat("f", 64))
	f.Add("SDK-HMAC-SHA256 ,,")
	v, err := New(testKeys(), func() time.Time { return noon })
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, header string) {
		a, err := parseAuthorization(header)
		if err == nil {
			credential := a.keyID
			if a.form.scoped {
				credential += "/" + a.scope
			}
			// What is parsed is all there is, but for spaces around the parameters.
			again := fmt.Sprintf("%s %s=%s,SignedHeaders=%s,Signature=%s",
				a.form.algorithm, a.form.parameter, credential, strings.Join(a.headers, ";"), a.signature)
			if strings.ReplaceAll(again, " ", "") != strings.ReplaceAll(header, " ", "") {
				t.Errorf("%q was parsed as %q", header, again)
			}
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set(dateHeader, noon.Format(dateLayout))
		r.Header["Authorization"] = []string{header}
		if _, err := v.VerifySignature(r, nil); !errors.Is(err, tenancy.ErrUnauthenticated) {
			t.Errorf("%q: got %v, want ErrUnauthenticated", header, err)
		}
	})
}
