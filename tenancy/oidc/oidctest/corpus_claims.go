package oidctest

import (
	"fmt"
	"strings"
	"time"

	"dms/tenancy"
)

// wrongKinds are JSON values that are neither a string nor a number.
func wrongKinds() []string { return []string{`null`, `true`, `false`, `[]`, `{}`, `[null]`} }

func (c *corpus) issuers() {
	u := c.p.URL
	for _, iss := range []string{
		"", "https://idp.example.com", u + "/", u + "//", u + "/.", u + "?", u + "#", u + " ", " " + u, u + "\x00", u + "/realms/other", strings.ToUpper(u),
		strings.Replace(u, "http://", "https://", 1), strings.Replace(u, "http://", "http://user@", 1), strings.Replace(u, "http://", "//", 1), strings.TrimPrefix(u, "http://"),
		strings.Replace(u, "127.0.0.1", "127.0.0.1.", 1), strings.Replace(u, "127.0.0.1", "localhost", 1), strings.Replace(u, "127.0.0.1", "127.1", 1), "accounts.google.com",
		strings.Replace(u, "1", "\uff11", 1), u + "." + u,
	} {
		c.claims(fmt.Sprintf("iss: %q", strings.ReplaceAll(iss, strings.TrimPrefix(u, "http://"), "HOST")), M{"iss": iss})
	}
	for _, v := range append(wrongKinds(), `1`, `["`+u+`"]`, `{"iss":"`+u+`"}`) {
		c.claims("iss: "+strings.ReplaceAll(v, u, "URL")+" in JSON", M{"iss": Raw(v)})
	}
	c.claims("iss: none at all", M{"iss": nil})
	c.claims("iss: in upper case", M{"iss": nil, "ISS": u})
}

func (c *corpus) audiences() {
	for _, aud := range []string{"", "other", "DMS", "Dms", "dms ", " dms", "dms\x00", "dms,other", "dms other", "dm", "dmss", "https://dms", "*", "d\u043cs", "null"} {
		c.claims(fmt.Sprintf("aud: %q", aud), M{"aud": aud})
		c.claims(fmt.Sprintf("aud: %q in a list", aud), M{"aud": []string{aud}})
	}
	for _, v := range append(wrongKinds(), `1`, `["dms",null]`, `["dms",1]`, `["dms",["dms"]]`, `["dms",{}]`, `[["dms"]]`, `{"dms":true}`, `{"0":"dms"}`) {
		c.claims("aud: "+v+" in JSON", M{"aud": Raw(v)})
	}
	c.claims("aud: none at all", M{"aud": nil})
	c.claims("aud: in upper case", M{"aud": nil, "AUD": Audience})
	c.claims("aud: as azp", M{"aud": "other", "azp": Audience, "client_id": Audience})
}

func (c *corpus) times() {
	at := Noon()
	for _, name := range []string{"exp", "nbf", "iat"} {
		for _, v := range append(wrongKinds(), `""`, `"0"`, `"9999999999"`, `"tomorrow"`, `"2026-11-22T13:00:00Z"`, `-1`, `-0.5`, `1e18`, `1e300`, `1e400`, `9223372036854775807`, `9223372036854775808`, `[1795000000]`) {
			c.claims(name+": "+v+" in JSON", M{name: Raw(v)})
		}
	}
	c.claims("exp: none at all", M{"exp": nil})
	c.claims("exp: in upper case", M{"exp": nil, "EXP": at.Add(time.Hour).Unix()})
	c.claims("exp: a life of two days", M{"exp": at.Add(48 * time.Hour).Unix()})
	c.claims("exp: a second more than a day", M{"exp": at.Add(24*time.Hour + time.Second).Unix()})
	c.claims("exp: in a year, without iat", M{"iat": nil, "exp": at.Add(365 * 24 * time.Hour).Unix()})
	c.claims("exp: in milliseconds", M{"exp": at.Add(time.Hour).UnixMilli()})
	c.claims("iat: tomorrow", M{"iat": at.Add(24 * time.Hour).Unix(), "nbf": nil, "exp": at.Add(25 * time.Hour).Unix()})
	c.claims("iat: in over a minute", M{"iat": at.Add(61 * time.Second).Unix()})
	c.claims("iat: in milliseconds", M{"iat": at.UnixMilli()})
	c.claims("nbf: in two minutes", M{"nbf": at.Add(2 * time.Minute).Unix()})
	c.claims("nbf: in milliseconds", M{"nbf": at.UnixMilli()})
}

func (c *corpus) subjects() {
	for _, v := range append(wrongKinds(), `1`, `""`, `["alice"]`, `"`+Padding(256)+`"`, `"a\nb"`, `"a\u0000"`, `"\u0085"`) {
		c.claims(fmt.Sprintf("sub: %.30s in JSON", v), M{"sub": Raw(v)})
	}
	c.claims("sub: none at all", M{"sub": nil})
	c.claims("sub: in upper case", M{"sub": nil, "SUB": "alice"})
	for _, v := range append(wrongKinds(), `1`, `"`+Padding(256)+`"`, `"a\r\nb"`) {
		c.claims(fmt.Sprintf("name: %.30s in JSON", v), M{"name": Raw(v)})
	}
	// Claims that are to be fetched from elsewhere never are.
	c.claims("claims from elsewhere", M{"_claim_names": M{"dms_projects": "src"}, "_claim_sources": M{"src": M{"endpoint": c.p.URL}}, "dms_projects": "x"})
	c.claims("claims from nowhere", M{"_claim_names": M{"dms_projects": "src"}})
}

// confirmations are tokens that are bound to something, but not plainly to a certificate.
func (c *corpus) confirmations() {
	good := tenancy.ThumbprintOf([]byte("a certificate")).String()
	for _, v := range append(wrongKinds(), `1`, `""`, `"`+good+`"`, `{"x5t#S256":""}`, `{"x5t#S256":null}`, `{"x5t#S256":1}`, `{"x5t#S256":"x"}`, `{"x5t#S256":["`+good+`"]}`,
		`{"x5t#S256":"`+good+`="}`, `{"x5t#S256":"`+good[1:]+`"}`, `{"x5t#S256":"`+strings.Repeat("A", 43)+`"}`, `{"x5t#S256":"`+strings.Repeat("ab", 32)+`"}`, `{"x5t#s256":"`+good+`"}`,
		`{"x5t":"`+good+`"}`, `{"jkt":"`+good+`"}`, `{"x5t#S256":"`+good+`","jkt":"`+good+`"}`, `{"jwk":{"kty":"oct"}}`, `{"kid":"rsa"}`, `{"jku":"https://attacker.example"}`) {
		c.claims("cnf: "+strings.ReplaceAll(v, good, "HASH")+" in JSON", M{"cnf": Raw(v)})
	}
}

func (c *corpus) projects() {
	id, role := string(Project1), `["manager"]`
	entry := func(v string) string { return `[{"id":"` + id + `","roles":` + v + `}]` }
	for _, v := range []string{
		`null`, `true`, `1`, `""`, `"` + id + `"`, `[null]`, `[1]`, `[true]`, `[[]]`, `["` + id[1:] + `"]`, `["` + strings.ToUpper(id) + `"]`, `["*"]`, `[""]`, `["` + id + ` "]`, `["../` + id + `"]`,
		`[{}]`, `[{"roles":` + role + `}]`, `[{"id":null,"roles":` + role + `}]`, `[{"id":1}]`, `[{"id":["` + id + `"]}]`, `[{"id":"` + id + `","name":1}]`, `[{"id":"` + id + `","name":"a\nb"}]`,
		`[{"id":"` + id + `","admin":true}]`, `[{"id":"` + id + `","Roles":` + role + `}]`, `[{"id":"` + id + `"},{"id":"x"}]`,
		entry(`"manager"`), entry(`null`), entry(`1`), entry(`{}`), entry(`{"manager":true}`), entry(`[null]`), entry(`[1]`), entry(`[["manager"]]`), entry(`["root"]`), entry(`["Manager"]`), entry(`["manager "]`), entry(`["*"]`), entry(`[""]`), entry(`["manager","root"]`),
		`{"*":` + role + `}`, `{"":` + role + `}`, `{"` + id[1:] + `":` + role + `}`, `{"` + id + `":null}`, `{"` + id + `":"manager"}`, `{"` + id + `":["root"]}`, `{"` + id + `":{"roles":` + role + `}}`, `{"` + id + `":` + role + `,"x":[]}`,
	} {
		c.claims("projects: "+strings.ReplaceAll(v, id, "ID"), M{"dms_projects": Raw(v)})
	}
}
