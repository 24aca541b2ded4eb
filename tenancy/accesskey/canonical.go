package accesskey

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const (
	dateHeader    = "x-sdk-date"
	contentHeader = "X-Sdk-Content-Sha256"
	// unsignedPayload is the value of contentHeader that leaves the body unsigned.
	unsignedPayload = "UNSIGNED-PAYLOAD"
)

// canonicals returns the canonical requests that the form's clients may have signed.
// There is one, but for a POST without a body in the scoped form: its clients then
// sign the query in place of the body, unless they hold an empty body object.
func canonicals(r *http.Request, body []byte, signed []string, quirks bool) ([]string, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, errors.New("query is malformed")
	}
	headers, err := canonicalHeaders(r, signed, quirks)
	if err != nil {
		return nil, err
	}
	payload, err := payloadHash(r.Header, body)
	if err != nil {
		return nil, err
	}
	join := func(query, payload string) string {
		return strings.Join([]string{
			r.Method, canonicalPath(r.URL.Path), query, headers, strings.Join(signed, ";"), payload,
		}, "\n")
	}
	if !quirks {
		return []string{join(canonicalQuery(query), payload)}, nil
	}
	all := []string{join(quirkyQuery(query), payload)}
	if r.Method == http.MethodPost && len(body) == 0 {
		if len(r.Header.Values(contentHeader)) == 0 {
			payload = hashHex([]byte(query.Encode()))
		}
		all = append(all, join("", payload))
	}
	return all, nil
}

func canonicalPath(path string) string {
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i] = escape(s)
	}
	path = strings.Join(segments, "/")
	if !strings.HasSuffix(path, "/") {
		path += "/"
	}
	return path
}

func canonicalQuery(query url.Values) string {
	keys := make([]string, 0, len(query))
	for k := range query {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var pairs []string
	for _, k := range keys {
		for _, v := range slices.Sorted(slices.Values(query[k])) {
			pairs = append(pairs, escape(k)+"="+escape(v))
		}
	}
	return strings.Join(pairs, "&")
}

// quirkyQuery has only the first value of every key, and sorts the encoded keys
// without regard to case.
func quirkyQuery(query url.Values) string {
	type pair struct{ key, value string }
	pairs := make([]pair, 0, len(query))
	for k := range query {
		pairs = append(pairs, pair{escape(k), escape(query.Get(k))})
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		return cmp.Or(strings.Compare(strings.ToLower(a.key), strings.ToLower(b.key)), strings.Compare(a.key, b.key))
	})
	var s strings.Builder
	for i, p := range pairs {
		if i > 0 {
			s.WriteByte('&')
		}
		s.WriteString(p.key + "=" + p.value)
	}
	return s.String()
}

// canonicalHeaders ends every header with a newline; the separator that joins the
// parts of the request then makes the empty line after them.
func canonicalHeaders(r *http.Request, signed []string, collapse bool) (string, error) {
	var s strings.Builder
	for _, name := range signed {
		values := r.Header.Values(name)
		if name == "host" {
			values = []string{r.Host}
		}
		// A header that occurs twice has no one canonical form among the clients, and
		// a reader behind us may see another value than the one that was signed.
		if len(values) != 1 {
			return "", fmt.Errorf("signed header %.64q occurs %d times, want 1", name, len(values))
		}
		value := values[0]
		if collapse {
			value = collapseSpace(value)
		}
		s.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
	}
	return s.String(), nil
}

// collapseSpace makes one space of every run of white space.
func collapseSpace(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(c rune) bool {
		return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r'
	}), " ")
}

// payloadHash is the hash of the body, or what the client declares in its place. A
// declared hash must be the true one: were it taken at its word, whoever sees a signed
// request could add the header with the old hash and send another body.
func payloadHash(h http.Header, body []byte) (string, error) {
	sum := hashHex(body)
	switch values := h.Values(contentHeader); {
	case len(values) == 0:
		return sum, nil
	case len(values) > 1:
		return "", errors.New("content hash occurs twice")
	case values[0] == unsignedPayload:
		return unsignedPayload, nil
	case values[0] == sum:
		return sum, nil
	}
	return "", errors.New("content hash differs from the body")
}

// escape percent-encodes all but the unreserved characters of RFC 3986.
func escape(s string) string {
	const digits = "0123456789ABCDEF"
	var e strings.Builder
	e.Grow(len(s))
	for i := range len(s) {
		c := s[i]
		if isWordByte(c) || c == '.' || c == '~' {
			e.WriteByte(c)
			continue
		}
		e.WriteByte('%')
		e.WriteByte(digits[c>>4])
		e.WriteByte(digits[c&15])
	}
	return e.String()
}
