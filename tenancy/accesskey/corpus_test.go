package accesskey

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// forgery is a way to change a signed request, or the moment at which it arrives.
type forgery struct {
	name   string
	change func(*arrival)
}

// arrival is a request as it reaches the service.
type arrival struct {
	r    *http.Request
	body []byte
	now  time.Time
	// again signs what it has become, for somebody who holds a secret.
	again func(id string, secret Secret, at time.Time)
}

func (a *arrival) header(name, value string) { a.r.Header.Set(name, value) }

// edit changes the Authorization header.
func (a *arrival) edit(old, changed string) {
	a.r.Header.Set("Authorization", strings.Replace(a.r.Header.Get("Authorization"), old, changed, 1))
}

// forgeries are about one signed request: a POST with a query, a body, and the headers
// host, content type, project, user agent and date signed.
func forgeries() []forgery {
	const authorization = "Authorization"
	all := []forgery{
		{"another method", func(a *arrival) { a.r.Method = "PUT" }},
		{"a method in lower case", func(a *arrival) { a.r.Method = "post" }},
		{"another path", func(a *arrival) { a.r.URL.Path += "x" }},
		{"a longer path", func(a *arrival) { a.r.URL.Path += "/x" }},
		{"a shorter path", func(a *arrival) { a.r.URL.Path = strings.TrimSuffix(a.r.URL.Path, "s") }},
		{"a path with dots", func(a *arrival) { a.r.URL.Path = "/x/.." + a.r.URL.Path }},
		{"a path with two slashes", func(a *arrival) { a.r.URL.Path = "/" + a.r.URL.Path }},
		{"a path in upper case", func(a *arrival) { a.r.URL.Path = strings.ToUpper(a.r.URL.Path) }},
		{"another project", func(a *arrival) {
			a.r.URL.Path = strings.Replace(a.r.URL.Path, string(project), strings.Repeat("0", 32), 1)
		}},
		{"another value in the query", func(a *arrival) { a.r.URL.RawQuery = "a=2&b=" }},
		{"another name in the query", func(a *arrival) { a.r.URL.RawQuery = "c=1&b=" }},
		{"a query with one more", func(a *arrival) { a.r.URL.RawQuery += "&c=1" }},
		{"a query with one fewer", func(a *arrival) { a.r.URL.RawQuery = "a=1" }},
		{"no query", func(a *arrival) { a.r.URL.RawQuery = "" }},
		{"a malformed query", func(a *arrival) { a.r.URL.RawQuery = "a=1&b=%zz" }},
		{"a semicolon in the query", func(a *arrival) { a.r.URL.RawQuery = "a=1;b=" }},
		{"another body", func(a *arrival) { a.body = bytes.ToUpper(a.body) }},
		{"a longer body", func(a *arrival) { a.body = append(a.body, ' ') }},
		{"a shorter body", func(a *arrival) { a.body = a.body[:len(a.body)-1] }},
		{"no body", func(a *arrival) { a.body = nil }},
		{"another host", func(a *arrival) { a.r.Host = "other.example.com" }},
		{"another port", func(a *arrival) { a.r.Host += ":1" }},
		{"no host", func(a *arrival) { a.r.Host = "" }},
		{"another user agent", func(a *arrival) { a.header("User-Agent", "other") }},
		{"no user agent", func(a *arrival) { a.r.Header.Del("User-Agent") }},
		{"two user agents", func(a *arrival) { a.r.Header.Add("User-Agent", "other") }},
		{"another content type", func(a *arrival) { a.header("Content-Type", "text/plain") }},
		{"two content types", func(a *arrival) { a.r.Header.Add("Content-Type", "application/json") }},
		{"another project header", func(a *arrival) { a.header("X-Project-Id", strings.Repeat("0", 32)) }},
		{"no project header", func(a *arrival) { a.r.Header.Del("X-Project-Id") }},
		{"a false body hash", func(a *arrival) { a.header(contentHeader, hashHex([]byte("x"))) }},
		{"a body left unsigned afterwards", func(a *arrival) { a.header(contentHeader, unsignedPayload) }},
		{"the old body hash over another body", func(a *arrival) {
			a.header(contentHeader, hashHex(a.body))
			a.body = []byte("other")
		}},
		{"two body hashes", func(a *arrival) {
			a.r.Header[contentHeader] = []string{hashHex(a.body), hashHex(a.body)}
		}},

		{"no date", func(a *arrival) { a.r.Header.Del(dateHeader) }},
		{"two dates", func(a *arrival) { a.r.Header.Add(dateHeader, a.r.Header.Get(dateHeader)) }},
		{"the next second", func(a *arrival) { a.header(dateHeader, noon.Add(time.Second).Format(dateLayout)) }},
		{"a date of another form", func(a *arrival) { a.header(dateHeader, noon.Format(time.RFC1123)) }},
		{"a date with a zone", func(a *arrival) { a.header(dateHeader, "20261122T120000+0000") }},
		{"an empty date", func(a *arrival) { a.header(dateHeader, "") }},
		{"replayed after the window", func(a *arrival) { a.now = noon.Add(maxSkew + time.Second) }},
		{"replayed an hour later", func(a *arrival) { a.now = noon.Add(time.Hour) }},
		{"replayed a day later", func(a *arrival) { a.now = noon.Add(24 * time.Hour) }},
		{"replayed a year later", func(a *arrival) { a.now = noon.AddDate(1, 0, 0) }},
		{"from a clock ahead of the window", func(a *arrival) { a.now = noon.Add(-maxSkew - time.Second) }},
		{"from a clock a day ahead", func(a *arrival) { a.now = noon.Add(-24 * time.Hour) }},
		{"replayed with a fresh date", func(a *arrival) {
			a.now = noon.Add(time.Hour)
			a.header(dateHeader, a.now.Format(dateLayout))
		}},

		{"no authorization", func(a *arrival) { a.r.Header.Del(authorization) }},
		{"two authorizations", func(a *arrival) { a.r.Header.Add(authorization, a.r.Header.Get(authorization)) }},
		{"a right authorization behind a wrong one", func(a *arrival) {
			a.r.Header[authorization] = []string{"Bearer x", a.r.Header.Get(authorization)}
		}},
		{"another algorithm", func(a *arrival) { a.edit("-SHA256", "-SHA512") }},
		{"the algorithm in lower case", func(a *arrival) { a.edit("HMAC", "hmac") }},
		{"the other algorithm", func(a *arrival) {
			old := a.r.Header.Get(authorization)
			if a.edit(sdkAlgorithm, derivedAlgorithm); old == a.r.Header.Get(authorization) {
				a.edit(derivedAlgorithm, sdkAlgorithm)
			}
		}},
		{"the other name of the key", func(a *arrival) {
			old := a.r.Header.Get(authorization)
			if a.edit("Access=", "Credential="); old == a.r.Header.Get(authorization) {
				a.edit("Credential=", "Access=")
			}
		}},
		{"another key", func(a *arrival) { a.edit(testKeys()[1].ID, testKeys()[0].ID) }},
		{"an unknown key", func(a *arrival) { a.edit(testKeys()[1].ID, "UNKNOWNACCESSKEY0001") }},
		{"the key in lower case", func(a *arrival) { a.edit(testKeys()[1].ID, strings.ToLower(testKeys()[1].ID)) }},
		{"an empty key", func(a *arrival) { a.edit(testKeys()[1].ID, "") }},
		{"a key with a wildcard", func(a *arrival) { a.edit(testKeys()[1].ID, "*") }},
		{"a key with a null byte", func(a *arrival) { a.edit(testKeys()[1].ID, testKeys()[1].ID+"\x00") }},
		{"a header taken out of the list", func(a *arrival) { a.edit("content-type;", "") }},
		{"the host taken out of the list", func(a *arrival) { a.edit("host;", "") }},
		{"the date taken out of the list", func(a *arrival) { a.edit(";x-sdk-date", "") }},
		{"a header put into the list", func(a *arrival) {
			a.header("Accept", "x")
			a.edit("SignedHeaders=", "SignedHeaders=accept;")
		}},
		{"a header in the list that is not there", func(a *arrival) { a.edit("SignedHeaders=", "SignedHeaders=accept;") }},
		{"the list in another order", func(a *arrival) { a.edit("content-type;host", "host;content-type") }},
		{"a name twice in the list", func(a *arrival) { a.edit("host;", "host;host;") }},
		{"the list in upper case", func(a *arrival) { a.edit("host;", "Host;") }},
		{"an empty list", func(a *arrival) {
			s := a.r.Header.Get(authorization)
			i, j := strings.Index(s, "SignedHeaders="), strings.Index(s, ", Signature")
			a.header(authorization, s[:i]+"SignedHeaders="+s[j:])
		}},
		{"a signature in upper case", func(a *arrival) {
			s := a.r.Header.Get(authorization)
			i := strings.Index(s, "Signature=") + len("Signature=")
			a.header(authorization, s[:i]+strings.ToUpper(s[i:]))
		}},
		{"an empty signature", func(a *arrival) {
			s := a.r.Header.Get(authorization)
			a.header(authorization, s[:strings.Index(s, "Signature=")+len("Signature=")])
		}},
		{"a signature of zeros", func(a *arrival) {
			s := a.r.Header.Get(authorization)
			a.header(authorization, s[:strings.Index(s, "Signature=")+len("Signature=")]+strings.Repeat("0", 64))
		}},
		{"a shorter signature", func(a *arrival) {
			a.header(authorization, a.r.Header.Get(authorization)[:len(a.r.Header.Get(authorization))-1])
		}},
		{"a longer signature", func(a *arrival) { a.header(authorization, a.r.Header.Get(authorization)+"0") }},
		{"one more parameter", func(a *arrival) { a.header(authorization, a.r.Header.Get(authorization)+", X=1") }},

		{"signed with another key's secret", func(a *arrival) { a.again(testKeys()[1].ID, testKeys()[0].Secret, noon) }},
		{"signed with an empty secret", func(a *arrival) { a.again(testKeys()[1].ID, "", noon) }},
		{"signed with the key as secret", func(a *arrival) { a.again(testKeys()[1].ID, Secret(testKeys()[1].ID), noon) }},
		{"an unknown key with the decoy", func(a *arrival) { a.again("UNKNOWNACCESSKEY0001", decoySecret, noon) }},
		{"a known key with the decoy", func(a *arrival) { a.again(testKeys()[1].ID, decoySecret, noon) }},
		{"signed for a date beyond the window", func(a *arrival) {
			a.again(testKeys()[1].ID, testKeys()[1].Secret, noon.Add(maxSkew+time.Second))
		}},
		{"signed for a date before the window", func(a *arrival) {
			a.again(testKeys()[1].ID, testKeys()[1].Secret, noon.Add(-maxSkew-time.Second))
		}},
	}
	for _, place := range []int{0, 1, 31, 32, 62, 63} {
		all = append(all, forgery{fmt.Sprintf("digit %d of the signature", place), func(a *arrival) {
			s := []byte(a.r.Header.Get(authorization))
			at := len(s) - 64 + place
			if s[at]++; s[at] == '9'+1 {
				s[at] = 'a'
			} else if s[at] == 'f'+1 {
				s[at] = '0'
			}
			a.header(authorization, string(s))
		}})
	}
	return all
}

// arrives makes the request that forgeries are about, in a form.
func arrives(t *testing.T, f form, scope string) *arrival {
	t.Helper()
	a := &arrival{body: []byte(`{"messages":[{"body":"signed"}]}` + "\n"), now: noon}
	a.r = httptest.NewRequest("POST", "/v2/"+string(project)+"/queues?a=1&b=", bytes.NewReader(a.body))
	a.r.RemoteAddr = "192.0.2.1:1000"
	a.header("Content-Type", "application/json")
	a.header("User-Agent", "client/1.0")
	a.header("X-Project-Id", string(project))
	a.again = func(id string, secret Secret, at time.Time) {
		t.Helper()
		date := at.Format(dateLayout)
		a.header(dateHeader, date)
		signed := []string{"content-type", "host", "user-agent", "x-project-id", dateHeader}
		all, err := canonicals(a.r, a.body, signed, f.quirks)
		if err != nil {
			t.Fatal(err)
		}
		credential := id
		if f.scoped {
			credential += "/" + scope
		}
		a.header("Authorization", fmt.Sprintf("%s %s=%s, SignedHeaders=%s, Signature=%s",
			f.algorithm, f.parameter, credential, strings.Join(signed, ";"), f.sign(id, secret, scope, date, all[0])))
	}
	a.again(testKeys()[1].ID, testKeys()[1].Secret, noon)
	return a
}

// TestNoForgeryIsAccepted tries every forgery in every form. Each has a verifier of its
// own, so that none is refused only because the key is locked.
func TestNoForgeryIsAccepted(t *testing.T) {
	scopes := map[int][]string{
		0: {""},
		1: {"20261122///sdk_request", "20261122/eu-de/dms/sdk_request"},
		2: {"20261122/eu-de/dms"},
	}
	tried := 0
	for i, f := range forms() {
		for _, scope := range scopes[i] {
			a := arrives(t, f, scope)
			if _, err := verifier(t, a.now).VerifySignature(a.r, a.body); err != nil {
				t.Fatalf("form %d, %s: the request itself is refused: %v", i, scope, err)
			}
			all := forgeries()
			if f.scoped {
				all = append(all,
					forgery{"another day in the scope", func(a *arrival) { a.edit("/20261122/", "/20261121/") }},
					forgery{"another region in the scope", func(a *arrival) { a.edit("/20261122/", "/20261122/x") }},
					forgery{"a scope that is longer", func(a *arrival) { a.edit("/20261122/", "/20261122//") }},
					forgery{"no scope", func(a *arrival) { a.edit("/"+scope, "") }})
			}
			for _, forged := range all {
				tried++
				a := arrives(t, f, scope)
				forged.change(a)
				id, err := verifier(t, a.now).VerifySignature(a.r, a.body)
				if err == nil {
					t.Errorf("form %d, %q: accepted for %s: %s", i, scope, id.KeyID, forged.name)
				}
			}
		}
	}
	if tried < 150 {
		t.Errorf("only %d forgeries were tried, want 150 or more", tried)
	}
	t.Logf("%d forgeries were tried", tried)
}
