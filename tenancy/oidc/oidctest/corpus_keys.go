package oidctest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"hash"
	"math/big"
	"strings"

	jose "github.com/go-jose/go-jose/v4"
)

// algorithms are names that are not accepted, or not for the key; the signature is right
// for the key wherever it can be.
func (c *corpus) algorithms() {
	for _, alg := range []string{
		"none", "None", "NONE", "nOnE", " none", "none ", "none\x00", "", " ", "null", "rs256", "Rs256", "RS256 ", " RS256", "RS256\x00", "RS 256", "RS-256",
		"RS256,none", "HS256", "HS384", "HS512", "RS1", "RS384", "RS512", "PS384", "PS512", "ES384", "ES512", "ES256K", "Ed25519", "Ed448", "eddsa",
		"dir", "RSA1_5", "RSA-OAEP", "RSA-OAEP-256", "A128KW", "A256GCMKW", "ECDH-ES", "PBES2-HS256+A128KW", "SHA256withRSA", "ML-DSA-44",
		"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", "*",
	} {
		h := JSON(c.t, M{"alg": alg, "kid": "rsa", "typ": "at+jwt"})
		c.header(fmt.Sprintf("algorithm: %q, signed with RS256", alg), h)
		if len(alg) >= 4 && strings.EqualFold(strings.TrimSpace(alg)[:min(4, len(strings.TrimSpace(alg)))], "none") {
			c.add(fmt.Sprintf("algorithm: %q, not signed", alg), B64(h)+"."+B64(c.good())+".")
			c.add(fmt.Sprintf("algorithm: %q, signed with a letter", alg), B64(h)+"."+B64(c.good())+".AA")
		}
	}
	for _, alg := range []string{`1`, `true`, `null`, `["RS256"]`, `{"RS256":1}`, `[]`} {
		c.header("algorithm: "+alg+" in JSON", `{"alg":`+alg+`,"kid":"rsa","typ":"at+jwt"}`)
	}
	c.header("algorithm: none at all", `{"kid":"rsa","typ":"at+jwt"}`)
	c.header("algorithm: in upper case", `{"ALG":"RS256","kid":"rsa","typ":"at+jwt"}`)
	good := c.p.Claims(nil)
	for _, alg := range []jose.SignatureAlgorithm{jose.RS384, jose.RS512, jose.PS384, jose.PS512} {
		c.add("algorithm: "+string(alg)+", truly", Sign(c.t, alg, "rsa", "at+jwt", c.keys.RSA, good))
	}
	for _, k := range []struct {
		alg jose.SignatureAlgorithm
		kid string
		key any
	}{
		{jose.RS256, "weak", c.keys.WeakRSA}, {jose.PS256, "weak", c.keys.WeakRSA}, {jose.PS256, "rs-only", c.keys.OtherRSA},
		{jose.ES256, "enc", c.keys.OtherEC}, {jose.ES256, "ec", c.keys.OtherEC}, {jose.ES256, "rsa", c.keys.EC}, {jose.ES256, "ed", c.keys.EC},
		{jose.RS256, "ec", c.keys.RSA}, {jose.RS256, "ed", c.keys.RSA}, {jose.RS256, "rsa", c.keys.OtherRSA}, {jose.RS256, "rs-only", c.keys.RSA},
		{jose.PS256, "ec", c.keys.RSA}, {jose.PS256, "rsa", c.keys.OtherRSA}, {jose.EdDSA, "rsa", c.keys.Ed}, {jose.EdDSA, "ec", c.keys.Ed}, {jose.EdDSA, "enc", c.keys.Ed},
		{jose.ES256, "stranger", c.keys.OtherEC}, {jose.RS256, "stranger", c.keys.OtherRSA},
	} {
		c.add(fmt.Sprintf("algorithm: %s with the key called %s, signed by %s", k.alg, k.kid, c.nameOf(k.key)), Sign(c.t, k.alg, k.kid, "at+jwt", k.key, good))
	}
}

func (c *corpus) nameOf(key any) string {
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		return map[bool]string{true: "ec", false: "another EC key"}[k == c.keys.EC]
	case ed25519.PrivateKey:
		return "ed"
	}
	switch key {
	case c.keys.RSA:
		return "rsa"
	case c.keys.WeakRSA:
		return "weak"
	}
	return "another RSA key"
}

// publicKeysAsSecrets are signed with HMAC, with what everybody knows for a secret.
func (c *corpus) publicKeysAsSecrets() {
	must := func(b []byte, err error) []byte {
		if err != nil {
			c.t.Fatal(err)
		}
		return b
	}
	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	spki := must(x509.MarshalPKIXPublicKey(c.keys.RSA.Public()))
	pkcs1 := x509.MarshalPKCS1PublicKey(&c.keys.RSA.PublicKey)
	ec := must(x509.MarshalPKIXPublicKey(c.keys.EC.Public()))
	point := must(c.keys.EC.PublicKey.Bytes())
	jwk := must(Public("rsa", "", c.keys.RSA.Public()).MarshalJSON())
	n := c.keys.RSA.N.Bytes()
	edKey, _ := c.keys.Ed.Public().(ed25519.PublicKey)
	for name, secret := range orderedBy[[]byte](
		"the key as PEM", block("PUBLIC KEY", spki),
		"the key as PEM without its line break", []byte(strings.TrimSpace(string(block("PUBLIC KEY", spki)))),
		"the key as DER", spki, "the key as PKCS1 in PEM", block("RSA PUBLIC KEY", pkcs1), "the key as PKCS1 in DER", pkcs1,
		"the key in base64", []byte(base64.StdEncoding.EncodeToString(spki)), "the modulus", n,
		"the modulus in hexadecimal", []byte(hex.EncodeToString(n)), "the modulus in base64url", []byte(base64.RawURLEncoding.EncodeToString(n)),
		"the key as JWK", jwk, "the EC key as PEM", block("PUBLIC KEY", ec), "the EC point", point, "the Ed25519 key", []byte(edKey),
		"nothing", []byte{}, "a zero", []byte{0}, "secret", []byte("secret"), "the issuer", []byte(c.p.URL), "the audience", []byte(Audience), "the key's name", []byte("rsa"),
	) {
		for _, alg := range []struct {
			name string
			hash func() hash.Hash
		}{{"HS256", sha256.New}, {"HS384", sha512.New384}, {"HS512", sha512.New}, {"RS256", sha256.New}} {
			input := B64(`{"alg":"`+alg.name+`","kid":"rsa","typ":"at+jwt"}`) + "." + B64(c.good())
			h := hmac.New(alg.hash, secret)
			h.Write([]byte(input))
			c.add("HMAC called "+alg.name+": with "+name, input+"."+B64(string(h.Sum(nil))))
		}
	}
}

// signatures are wrong in themselves.
func (c *corpus) signatures() {
	parts := strings.Split(Forge(c.t, head, c.good()), ".")
	input := parts[0] + "." + parts[1] + "."
	other := strings.Split(c.p.Access(c.t, M{"sub": "bob"}), ".")
	c.add("signature: of another token", input+other[2])
	c.add("signature: under another payload", parts[0]+"."+B64(JSON(c.t, c.p.Claims(M{"sub": "bob"})))+"."+parts[2])
	c.add("signature: under another header", B64(`{"alg":"PS256","kid":"rsa","typ":"at+jwt"}`)+"."+parts[1]+"."+parts[2])
	n := c.keys.RSA.N
	for name, s := range orderedBy[[]byte](
		"zero", make([]byte, 256), "one", append(make([]byte, 255), 1), "all ones", fill(256, 0xff), "the modulus", n.Bytes(),
		"one less than the modulus", new(big.Int).Sub(n, big.NewInt(1)).Bytes(), "one byte", []byte{1}, "too long", fill(512, 1), "a byte short", fill(255, 1),
	) {
		c.add("signature: RSA, "+name, input+B64(string(s)))
	}
	c.ecdsaSignatures()
	ed := Sign(c.t, jose.EdDSA, "ed", "at+jwt", c.keys.Ed, c.p.Claims(nil))
	at := strings.LastIndex(ed, ".") + 1
	for name, s := range orderedBy[[]byte](
		"zero", make([]byte, 64), "a small point", append([]byte{1}, make([]byte, 63)...), "all ones", fill(64, 0xff), "short", fill(32, 1), "long", fill(96, 1),
	) {
		c.add("signature: Ed25519, "+name, ed[:at]+B64(string(s)))
	}
	sum := sha256.Sum256([]byte(strings.TrimSuffix(input, ".")))
	prehashed, err := c.keys.Ed.Sign(rand.Reader, sum[:], crypto.Hash(0))
	if err != nil {
		c.t.Fatal(err)
	}
	c.add("signature: Ed25519 of the hash", B64(`{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}`)+"."+parts[1]+"."+B64(string(prehashed)))
}

func (c *corpus) ecdsaSignatures() {
	input := B64(`{"alg":"ES256","kid":"ec","typ":"at+jwt"}`) + "." + B64(c.good())
	sum := sha256.Sum256([]byte(input))
	der, err := ecdsa.SignASN1(rand.Reader, c.keys.EC, sum[:])
	if err != nil {
		c.t.Fatal(err)
	}
	c.add("signature: ECDSA in DER", input+"."+B64(string(der)))
	order := elliptic.P256().Params().N.Bytes()
	zero, one := make([]byte, 32), append(make([]byte, 31), 1)
	for name, s := range orderedBy[[]byte](
		"zero and zero", append(zero, zero...), "one and zero", append(one, zero...), "zero and one", append(append([]byte{}, zero...), one...),
		"the order twice", append(append([]byte{}, order...), order...), "the order and one", append(append([]byte{}, order...), one...),
		"one and one", append(append([]byte{}, one...), one...), "all ones", fill(64, 0xff), "of 63 bytes", fill(63, 1), "of 65 bytes", fill(65, 1), "of 96 bytes", fill(96, 1),
	) {
		c.add("signature: ECDSA, "+name, input+"."+B64(string(s)))
	}
}

func fill(n int, b byte) []byte {
	all := make([]byte, n)
	for i := range all {
		all[i] = b
	}
	return all
}

// encrypted are tokens that we could not read, or that wrap one.
func (c *corpus) encrypted() {
	valid := Forge(c.t, head, c.good())
	for _, e := range []struct {
		key jose.KeyAlgorithm
		enc jose.ContentEncryption
		zip jose.CompressionAlgorithm
		to  any
	}{
		{jose.RSA_OAEP_256, jose.A256GCM, jose.NONE, c.keys.RSA.Public()},
		{jose.RSA_OAEP_256, jose.A256GCM, jose.DEFLATE, c.keys.RSA.Public()},
		{jose.ECDH_ES, jose.A128GCM, jose.NONE, c.keys.EC.Public()},
		{jose.DIRECT, jose.A128GCM, jose.NONE, fill(16, 1)},
	} {
		encrypter, err := jose.NewEncrypter(e.enc, jose.Recipient{Algorithm: e.key, Key: e.to, KeyID: "rsa"}, &jose.EncrypterOptions{Compression: e.zip})
		if err != nil {
			c.t.Fatal(err)
		}
		jwe, err := encrypter.Encrypt([]byte(valid))
		if err != nil {
			c.t.Fatal(err)
		}
		raw, err := jwe.CompactSerialize()
		if err != nil {
			c.t.Fatal(err)
		}
		c.add(fmt.Sprintf("encrypted: %s %s %q", e.key, e.enc, e.zip), raw)
		if e.key == jose.RSA_OAEP_256 && e.zip == jose.NONE {
			c.add("encrypted: in JSON", jwe.FullSerialize())
		}
	}
	// A key of a password that would cost minutes to derive.
	c.add("encrypted: password bomb", B64(`{"alg":"PBES2-HS512+A256KW","enc":"A256GCM","p2c":2147483647,"p2s":"c2FsdA"}`)+".a.a.a.a")
	c.add("encrypted: five parts of nothing", "a.a.a.a.a")
	c.add("encrypted: a signed token inside a signed one", Forge(c.t, `{"alg":"RS256","kid":"rsa","typ":"at+jwt","cty":"JWT"}`, valid))
}
