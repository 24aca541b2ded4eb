package oidctest

import (
	"fmt"
	"strings"
	"testing"
)

// BadToken is a token that must be refused, whatever is asked with it.
type BadToken struct {
	Name  string
	Token string
	// Exchange is set for ID tokens, which are good in the exchange and nowhere else.
	Exchange bool
}

// maxToken is the size above which a token is refused unread.
const maxToken = 16 << 10

// corpus collects bad tokens. Each is the good one but for what its name says.
type corpus struct {
	t      testing.TB
	p      *Provider
	keys   PrivateKeys
	tokens []BadToken
	names  map[string]bool
}

// head is the header of the good token.
const head = `{"alg":"RS256","kid":"rsa","typ":"at+jwt"}`

// BadTokens returns the corpus for a provider: every token is signed as well as its kind
// allows, and for a verifier that takes the audience Audience at Noon.
func BadTokens(t testing.TB, p *Provider) []BadToken {
	t.Helper()
	c := &corpus{t: t, p: p, keys: Keys(t), names: make(map[string]bool)}
	c.forms()
	c.spellings()
	c.algorithms()
	c.publicKeysAsSecrets()
	c.signatures()
	c.headers()
	c.keyNames()
	c.types()
	c.json()
	c.duplicates()
	c.issuers()
	c.audiences()
	c.times()
	c.subjects()
	c.confirmations()
	c.projects()
	c.encrypted()
	return c.tokens
}

func (c *corpus) add(name, token string) {
	c.t.Helper()
	if c.names[name] {
		c.t.Fatalf("two bad tokens are called %q", name)
	}
	c.names[name] = true
	c.tokens = append(c.tokens, BadToken{Name: name, Token: token})
}

// good is the payload of the good token.
func (c *corpus) good() string { return JSON(c.t, c.p.Claims(nil)) }

// header adds a token with another header, which is signed correctly.
func (c *corpus) header(name, header string) { c.add(name, Forge(c.t, header, c.good())) }

// payload adds a token with another payload, which is signed correctly.
func (c *corpus) payload(name, payload string) { c.add(name, Forge(c.t, head, payload)) }

// claims adds a token with changed claims, which is signed correctly.
func (c *corpus) claims(name string, changes M) { c.add(name, c.p.Access(c.t, changes)) }

// forms are texts that are no compact signed token at all, or too long for one.
func (c *corpus) forms() {
	valid := Forge(c.t, head, c.good())
	parts := strings.Split(valid, ".")
	for name, token := range ordered(
		"empty", "", "dot", ".", "dots", "..", "many dots", strings.Repeat(".", 10_000), "blank", " ",
		"a word", "token", "null", "null", "empty object", "{}", "one part", parts[0],
		"two parts", parts[0]+"."+parts[1], "four parts", valid+".x", "four parts, the last empty", valid+".",
		"five parts", parts[0]+"..."+parts[2]+".", "a part before", "."+valid, "no header", "."+parts[1]+"."+parts[2],
		"no payload", parts[0]+".."+parts[2], "no signature", parts[0]+"."+parts[1]+".",
		"parts in another order", parts[1]+"."+parts[0]+"."+parts[2], "header twice", parts[0]+"."+parts[0]+"."+parts[2],
		"two tokens", valid+valid, "two tokens with a comma", valid+","+valid, "two tokens with a blank", valid+" "+valid,
		"bearer before", "Bearer "+valid, "quoted", `"`+valid+`"`, "in brackets", "<"+valid+">",
		"NUL after", valid+"\x00", "backspace inside", parts[0]+"\b."+parts[1]+"."+parts[2],
		"dots of another alphabet", strings.ReplaceAll(valid, ".", "\uff0e"), "a byte order mark before", "\ufeff"+valid,
		"percent-encoded dots", strings.ReplaceAll(valid, ".", "%2E"),
		"flattened JSON", `{"payload":"`+parts[1]+`","protected":"`+parts[0]+`","signature":"`+parts[2]+`"}`,
		"one signature in JSON", `{"payload":"`+parts[1]+`","signatures":[{"protected":"`+parts[0]+`","signature":"`+parts[2]+`"}]}`,
		"two signatures", `{"payload":"`+parts[1]+`","signatures":[{"protected":"`+parts[0]+`","signature":"`+parts[2]+`"},{"protected":"`+parts[0]+`","signature":"`+parts[2]+`"}]}`,
		"unprotected header in JSON", `{"payload":"`+parts[1]+`","header":{"alg":"none"},"signature":""}`,
		"an SD-JWT", valid+"~WyJhIiwiYiIsImMiXQ~", "a detached payload", parts[0]+".."+parts[2]+"#"+parts[1],
		"oversized by its claims", c.p.Access(c.t, M{"x": Padding(maxToken)}),
		"oversized by its header", Forge(c.t, `{"alg":"RS256","kid":"rsa","x":"`+Padding(maxToken)+`"}`, c.good()),
		"oversized by its signature", valid+strings.Repeat("A", maxToken),
		"a megabyte", c.p.Access(c.t, M{"x": Padding(1 << 20)}),
	) {
		c.add("form: "+name, token)
	}
}

// spellings are other ways to write the same bytes.
func (c *corpus) spellings() {
	parts := strings.Split(Forge(c.t, head, c.good()), ".")
	for i, part := range []string{"header", "payload", "signature"} {
		for name, change := range orderedBy[func(string) string](
			"padded", func(s string) string { return s + "=" },
			"padded twice", func(s string) string { return s + "==" },
			"with a plus", func(s string) string { return "+" + s[1:] },
			"with a slash", func(s string) string { return "/" + s[1:] },
			"with a blank", func(s string) string { return s[:4] + " " + s[4:] },
			"with a line break", func(s string) string { return s[:4] + "\n" + s[4:] },
			"with a carriage return", func(s string) string { return s + "\r" },
			"with a tab", func(s string) string { return s[:4] + "\t" + s[4:] },
			"with a letter too many", func(s string) string { return s + strings.Repeat("A", 1+(4-len(s)%4)%4) },
			"with a letter of another alphabet", func(s string) string { return "\u0430" + s[1:] },
			"encoded twice", func(s string) string { return B64(s) },
			"in hexadecimal", func(s string) string { return fmt.Sprintf("%x", s) },
		) {
			changed := append([]string(nil), parts...)
			changed[i] = change(changed[i])
			c.add("spelling: "+part+" "+name, strings.Join(changed, "."))
		}
	}
	// Bits of the last letter that stand for nothing: an RSA signature of 256 bytes has
	// four of them.
	valid := strings.Join(parts, ".")
	c.add("spelling: spare bits", valid[:len(valid)-1]+string(valid[len(valid)-1]+1))
}

// ordered returns pairs in the order given.
func ordered(pairs ...string) func(func(string, string) bool) {
	return func(yield func(string, string) bool) {
		for i := 0; i < len(pairs); i += 2 {
			if !yield(pairs[i], pairs[i+1]) {
				return
			}
		}
	}
}

// orderedBy is ordered for values of another type.
func orderedBy[T any](pairs ...any) func(func(string, T) bool) {
	return func(yield func(string, T) bool) {
		for i := 0; i < len(pairs); i += 2 {
			name, _ := pairs[i].(string)
			value, _ := pairs[i+1].(T)
			if !yield(name, value) {
				return
			}
		}
	}
}
