package accesskey

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Sign signs a request the way the official SDKs do, as of the given time. It sets
// X-Sdk-Date and Authorization. Signed are host, date and, where set, content type,
// project and body hash headers; other headers may still change on the way. The body is
// what will be sent, byte for byte.
func Sign(r *http.Request, body []byte, id string, secret Secret, at time.Time) error {
	f, _ := formOf(sdkAlgorithm, "Access")
	return signAs(f, r, body, id, secret, "", at)
}

// signAs signs in any form. The scope is what follows the key id, for scoped forms.
func signAs(f form, r *http.Request, body []byte, id string, secret Secret, scope string, at time.Time) error {
	date := at.UTC().Format(dateLayout)
	r.Header.Set(dateHeader, date)
	if r.Host == "" {
		r.Host = r.URL.Host
	}
	signed := []string{"host", dateHeader}
	for _, name := range []string{"content-type", "x-project-id", strings.ToLower(contentHeader)} {
		if len(r.Header.Values(name)) > 0 {
			signed = append(signed, name)
		}
	}
	slices.Sort(signed)
	all, err := canonicals(r, body, signed, f.quirks)
	if err != nil {
		return fmt.Errorf("sign request: %w", err)
	}
	credential := id
	if f.scoped {
		credential += "/" + scope
	}
	r.Header.Set("Authorization", fmt.Sprintf("%s %s=%s, SignedHeaders=%s, Signature=%s",
		f.algorithm, f.parameter, credential, strings.Join(signed, ";"), f.sign(id, secret, scope, date, all[0])))
	return nil
}
