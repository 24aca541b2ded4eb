package oidc

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"dms/tenancy"
	"dms/tenancy/oidc/oidctest"
)

func TestAcceptedAlgorithms(t *testing.T) {
	p, c := startIDP(t), &clock{at: noon}
	v := startVerifier(t, p, c, nil)
	want := tenancy.Identity{
		Issuer: p.URL, Subject: "alice", Name: "Alice", Client: "shop",
		Grants: map[tenancy.ProjectID]tenancy.Grant{project1: {Name: "one", Roles: []tenancy.Role{tenancy.Manager}}},
	}
	for _, tt := range []struct {
		algorithm jose.SignatureAlgorithm
		kid       string
		key       any
	}{
		{jose.RS256, "rsa", oidctest.Keys(t).RSA}, {jose.PS256, "rsa", oidctest.Keys(t).RSA}, {jose.ES256, "ec", oidctest.Keys(t).EC},
		{jose.EdDSA, "ed", oidctest.Keys(t).Ed}, {jose.RS256, "rs-only", oidctest.Keys(t).OtherRSA},
	} {
		for _, typ := range []string{"at+jwt", "AT+JWT", "application/at+jwt", "JWT", ""} {
			raw := sign(t, tt.algorithm, tt.kid, typ, tt.key, p.Claims(map[string]any{"client_id": "shop", "azp": 7}))
			got, until, err := v.Verify(t.Context(), raw)
			if err != nil {
				t.Errorf("%s, type %q: %v", tt.algorithm, typ, err)
				continue
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: identity (-want +got):\n%s", tt.algorithm, diff)
			}
			if !until.Equal(noon.Add(time.Hour + DefaultSkew)) {
				t.Errorf("%s: ends %s", tt.algorithm, until)
			}
		}
	}
	if got := p.Fetches.Load(); got != 1 {
		t.Errorf("keys were fetched %d times, want once", got)
	}
}

func TestClaimsBecomeGrants(t *testing.T) {
	p, c := startIDP(t), &clock{at: noon}
	v := startVerifier(t, p, c, func(o *Options) {
		o.Claims.Projects = `claims[?"https://example.com/projects"].orValue([])`
	})
	type grants = map[tenancy.ProjectID]tenancy.Grant
	for name, tt := range map[string]struct {
		claim string
		want  grants
	}{
		"list":          {`[{"id":"` + string(project1) + `","name":"one","roles":["viewer","producer"]}, {"roles":[],"id":"` + string(project2) + `"}]`, grants{project1: {Name: "one", Roles: []tenancy.Role{tenancy.Viewer, tenancy.Producer}}, project2: {}}},
		"map":           {`{ "` + string(project1) + `" : [ "consumer" ] , "` + string(project2) + `":["operator"]}`, grants{project1: {Roles: []tenancy.Role{tenancy.Consumer}}, project2: {Roles: []tenancy.Role{tenancy.Operator}}}},
		"empty list":    {`[]`, grants{}},
		"empty map":     {`{}`, grants{}},
		"escaped names": {`[{"\u0069d":"` + string(project1) + `","roles":["manager"]}]`, grants{project1: {Roles: []tenancy.Role{tenancy.Manager}}}},
	} {
		t.Run(name, func(t *testing.T) {
			claims := p.Claims(m{"dms_projects": "not this one"})
			raw := oidctest.Forge(t, `{"alg":"RS256","kid":"rsa","typ":"at+jwt"}`, oidctest.WithMember(t, claims, `"https://example.com/projects": `+tt.claim))
			id, _, err := v.Verify(t.Context(), raw)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, id.Grants); diff != "" {
				t.Errorf("grants (-want +got):\n%s", diff)
			}
		})
	}
	id, _, err := v.Verify(t.Context(), access(t, p, nil))
	if err != nil || len(id.Grants) != 0 {
		t.Errorf("without the claim: got %v, %v, want nobody's projects", id.Grants, err)
	}
}

func TestTimes(t *testing.T) {
	p := startIDP(t)
	for name, tt := range map[string]struct {
		claims  m
		now     time.Duration // from noon
		want    error
		expires time.Duration
	}{
		"right before its end":     {nil, time.Hour - time.Nanosecond, nil, time.Hour},
		"a little after its end":   {nil, time.Hour + DefaultSkew - time.Nanosecond, nil, time.Hour},
		"a minute after its end":   {nil, time.Hour + DefaultSkew, tenancy.ErrExpired, 0},
		"long after its end":       {nil, 1000 * time.Hour, tenancy.ErrExpired, 0},
		"begins in a minute":       {nil, -time.Minute, nil, time.Hour},
		"begins in over a minute":  {nil, -time.Minute - time.Nanosecond, tenancy.ErrUnauthenticated, 0},
		"nbf in a minute":          {m{"iat": nil, "nbf": noon.Add(time.Minute).Unix()}, 0, nil, time.Hour},
		"nbf in over a minute":     {m{"iat": nil, "nbf": noon.Add(61 * time.Second).Unix()}, 0, tenancy.ErrUnauthenticated, 0},
		"iat in over a minute":     {m{"nbf": nil, "iat": noon.Add(61 * time.Second).Unix()}, 0, tenancy.ErrUnauthenticated, 0},
		"a life of a day":          {m{"exp": noon.Add(24 * time.Hour).Unix()}, time.Hour, nil, 24 * time.Hour},
		"a life of over a day":     {m{"exp": noon.Add(24*time.Hour + time.Second).Unix()}, time.Hour, tenancy.ErrUnauthenticated, 0},
		"a day to go without iat":  {m{"iat": nil, "exp": noon.Add(24 * time.Hour).Unix()}, 0, nil, 24 * time.Hour},
		"over a day without iat":   {m{"iat": nil, "exp": noon.Add(25 * time.Hour).Unix()}, 0, tenancy.ErrUnauthenticated, 0},
		"fractions":                {m{"exp": float64(noon.Unix()) + 10.5}, 9 * time.Second, nil, 10 * time.Second},
		"no exp":                   {m{"exp": nil}, 0, tenancy.ErrUnauthenticated, 0},
		"exp in the far future":    {m{"exp": 1e18}, 0, tenancy.ErrUnauthenticated, 0},
		"exp beyond all numbers":   {m{"exp": 1e300}, 0, tenancy.ErrUnauthenticated, 0},
		"negative exp":             {m{"exp": -1}, 0, tenancy.ErrUnauthenticated, 0},
		"exp 0":                    {m{"exp": 0, "iat": 0, "nbf": 0}, 0, tenancy.ErrExpired, 0},
		"exp as text":              {m{"exp": "9999999999"}, 0, tenancy.ErrUnauthenticated, 0},
		"exp as a list":            {m{"exp": []int64{noon.Add(time.Hour).Unix()}}, 0, tenancy.ErrUnauthenticated, 0},
		"iat as text":              {m{"iat": "0"}, 0, tenancy.ErrUnauthenticated, 0},
		"nbf as text":              {m{"nbf": "0"}, 0, tenancy.ErrUnauthenticated, 0},
		"expired and of others":    {m{"aud": "other"}, 2 * time.Hour, tenancy.ErrUnauthenticated, 0},
		"expired, projects broken": {m{"dms_projects": "x"}, 2 * time.Hour, tenancy.ErrUnauthenticated, 0},
	} {
		t.Run(name, func(t *testing.T) {
			v := startVerifier(t, p, &clock{at: noon.Add(tt.now)}, nil)
			_, expires, err := v.Verify(t.Context(), access(t, p, tt.claims))
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err == nil && !expires.Equal(noon.Add(tt.expires+DefaultSkew)) {
				t.Errorf("ends %s, want %s", expires, noon.Add(tt.expires+DefaultSkew))
			}
			if tt.want == tenancy.ErrExpired && errors.Is(err, tenancy.ErrUnauthenticated) {
				t.Errorf("an expired token is also unauthenticated: %v", err)
			}
		})
	}
}

func TestIDTokensAreForTheExchangeOnly(t *testing.T) {
	p, c := startIDP(t), &clock{at: noon}
	loose := startVerifier(t, p, c, nil)
	strict := startVerifier(t, p, c, func(o *Options) { o.RequireAccessType = true })
	idToken := sign(t, jose.ES256, "ec", "JWT", oidctest.Keys(t).EC, p.Claims(m{"nonce": "n", "at_hash": "h"}))
	plain := sign(t, jose.ES256, "ec", "JWT", oidctest.Keys(t).EC, p.Claims(nil))
	accessToken := sign(t, jose.ES256, "ec", "at+jwt", oidctest.Keys(t).EC, p.Claims(nil))
	for _, tt := range []struct {
		name             string
		v                *Verifier
		raw              string
		bearer, exchange bool
	}{
		{"loose, ID token", loose, idToken, false, true},
		{"loose, plain JWT", loose, plain, true, true},
		{"loose, access token", loose, accessToken, true, true},
		{"strict, ID token", strict, idToken, false, true},
		{"strict, plain JWT", strict, plain, false, true},
		{"strict, access token", strict, accessToken, true, true},
	} {
		_, _, err := tt.v.Verify(t.Context(), tt.raw)
		if got := err == nil; got != tt.bearer {
			t.Errorf("%s as bearer: accepted %t, want %t (%v)", tt.name, got, tt.bearer, err)
		}
		_, _, err = tt.v.VerifyIDToken(t.Context(), tt.raw)
		if got := err == nil; got != tt.exchange {
			t.Errorf("%s in the exchange: accepted %t, want %t (%v)", tt.name, got, tt.exchange, err)
		}
	}
}

func TestNewRefusesWhatIsNotSafe(t *testing.T) {
	good := Options{ID: "x", Issuer: "https://idp.example.com", Audience: []string{"dms"}}
	for name, change := range map[string]func(*Options){
		"no id":            func(o *Options) { o.ID = "" },
		"no issuer":        func(o *Options) { o.Issuer = "" },
		"no audience":      func(o *Options) { o.Audience = nil },
		"empty audience":   func(o *Options) { o.Audience = []string{"dms", ""} },
		"plain http":       func(o *Options) { o.Issuer = "http://idp.example.com" },
		"http to a name":   func(o *Options) { o.Issuer = "http://127.0.0.1.example.com" },
		"other scheme":     func(o *Options) { o.Issuer = "file:///etc/passwd" },
		"issuer with user": func(o *Options) { o.Issuer = "https://user@idp.example.com" },
		"with query":       func(o *Options) { o.Issuer = "https://idp.example.com?x=1" },
	} {
		o := good
		change(&o)
		if v, err := New(o); err == nil {
			v.Close()
			t.Errorf("%s: accepted", name)
		}
	}
	for _, issuer := range []string{"https://idp.example.com", "https://idp.example.com/realm", "http://127.0.0.1:8080/idp", "http://localhost:1/", "http://[::1]:1"} {
		o := good
		o.Issuer = issuer
		v, err := New(o)
		if err != nil {
			t.Errorf("%s: %v", issuer, err)
			continue
		}
		v.Close()
	}
}

func TestSetChoosesByIssuerAndByID(t *testing.T) {
	one, two, c := startIDP(t), startIDP(t), &clock{at: noon}
	a := startVerifier(t, one, c, func(o *Options) { o.ID = "a" })
	b := startVerifier(t, two, c, func(o *Options) { o.ID = "b" })
	set, err := NewSet(a, b)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []*idp{one, two} {
		id, _, err := set.Verify(t.Context(), access(t, p, nil))
		if err != nil || id.Issuer != p.URL {
			t.Errorf("got %q, %v, want %q", id.Issuer, err, p.URL)
		}
	}
	if _, _, err := set.VerifyIDToken(t.Context(), "a", access(t, one, nil)); err != nil {
		t.Errorf("exchange at the right provider: %v", err)
	}
	for name, verify := range map[string]func() error{
		"exchange at the other provider": func() error { _, _, err := set.VerifyIDToken(t.Context(), "b", access(t, one, nil)); return err },
		"exchange at no provider":        func() error { _, _, err := set.VerifyIDToken(t.Context(), "c", access(t, one, nil)); return err },
		"unknown issuer": func() error {
			_, _, err := set.Verify(t.Context(), access(t, one, m{"iss": "https://other.example.com"}))
			return err
		},
		"no issuer": func() error { _, _, err := set.Verify(t.Context(), access(t, one, m{"iss": nil})); return err },
		"issuer as a list": func() error {
			_, _, err := set.Verify(t.Context(), access(t, one, m{"iss": []string{one.URL}}))
			return err
		},
		"no token": func() error { _, _, err := set.Verify(t.Context(), ""); return err },
		"huge": func() error {
			_, _, err := set.Verify(t.Context(), access(t, one, m{"x": strings.Repeat("a", maxToken)}))
			return err
		},
	} {
		if err := verify(); !errors.Is(err, tenancy.ErrUnauthenticated) {
			t.Errorf("%s: got %v, want ErrUnauthenticated", name, err)
		}
	}
	empty, err := NewSet()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := empty.Verify(t.Context(), access(t, one, nil)); !errors.Is(err, tenancy.ErrUnauthenticated) {
		t.Errorf("empty set: got %v, want ErrUnauthenticated", err)
	}
}

func TestSetRefusesTwins(t *testing.T) {
	p, q, c := startIDP(t), startIDP(t), &clock{at: noon}
	a := startVerifier(t, p, c, func(o *Options) { o.ID = "a" })
	for name, other := range map[string]*Verifier{
		"same id":     startVerifier(t, q, c, func(o *Options) { o.ID = "a" }),
		"same issuer": startVerifier(t, p, c, func(o *Options) { o.ID = "b" }),
	} {
		if _, err := NewSet(a, other); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestErrorsDoNotShowTheToken(t *testing.T) {
	p, c := startIDP(t), &clock{at: noon}
	v := startVerifier(t, p, c, nil)
	for _, raw := range []string{
		access(t, p, m{"aud": "other"}), access(t, p, m{"exp": noon.Add(-time.Hour).Unix(), "iat": nil, "nbf": nil}),
		access(t, p, m{"dms_projects": "canary-secret"}), "canary-secret.canary-secret.canary-secret",
	} {
		_, _, err := v.Verify(t.Context(), raw)
		if err == nil {
			t.Fatal("accepted")
		}
		parts := strings.Split(raw, ".")
		for _, part := range append(parts, "canary-secret") {
			if strings.Contains(fmt.Sprint(err), part) {
				t.Errorf("the error shows part of the token: %v", err)
			}
		}
	}
}
