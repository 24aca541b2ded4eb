package devidp

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dms/tenancy"
)

func TestMintedTokens(t *testing.T) {
	p := start(t, nil)
	v := trust(t, p)
	before := time.Now()
	raw, err := p.MintAccess("alice", "", 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	id, until, err := v.Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(identityOf(p, alice()), id, anyTokenID()); diff != "" {
		t.Errorf("access token (-want +got):\n%s", diff)
	}
	if life := until.Sub(before); life < 24*time.Hour-time.Minute || life > 24*time.Hour+time.Minute {
		t.Errorf("life is %s, want a day", life)
	}
	one := alice()
	one.Projects = one.Projects[1:]
	if raw, err = p.MintID("alice", project2, time.Hour); err != nil {
		t.Fatal(err)
	}
	if id, _, err = v.VerifyIDToken(t.Context(), raw); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(identityOf(p, one), id, anyTokenID()); diff != "" {
		t.Errorf("ID token of one project (-want +got):\n%s", diff)
	}
	if _, _, err := v.Verify(t.Context(), raw); !errors.Is(err, tenancy.ErrUnauthenticated) {
		t.Errorf("ID token as access token: got %v, want ErrUnauthenticated", err)
	}
	for name, mint := range map[string]func() (string, error){
		"no such user":    func() (string, error) { return p.MintAccess("nobody", "", time.Hour) },
		"not in project":  func() (string, error) { return p.MintAccess("bob", project1, time.Hour) },
		"no life":         func() (string, error) { return p.MintAccess("alice", "", 0) },
		"over a day":      func() (string, error) { return p.MintAccess("alice", "", 24*time.Hour+1) },
		"ID for a nobody": func() (string, error) { return p.MintID("", "", time.Hour) },
	} {
		if _, err := mint(); err == nil {
			t.Errorf("%s: minted", name)
		}
	}
}

func TestTokensOutliveARestartWithTheSameFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	issuer := "http://127.0.0.1:1" + Path
	o := Options{Development: true, Issuer: issuer, Users: []User{alice()}, Dir: dir}
	before, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := before.MintAccess("alice", "", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	after, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := after.store.verify(raw); err != nil {
		t.Errorf("token of the run before: %v", err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Fatalf("the folder has %v, %v, want the key alone", files, err)
	}
	path := filepath.Join(dir, files[0].Name())
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("the key has mode %#o, want 0600", mode)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := New(o); err == nil {
		t.Error("a key that others can read was taken")
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(o); err == nil {
		t.Error("a broken key was taken")
	}
	o.Dir = ""
	other, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.store.verify(raw); err == nil {
		t.Error("a provider without a folder has the same key")
	}
}

func TestNewRefusesWhatItMust(t *testing.T) {
	good := Options{Development: true, Issuer: "http://127.0.0.1:1/idp", Users: []User{alice()}}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Options){
		"production":        func(o *Options) { o.Development = false },
		"no issuer":         func(o *Options) { o.Issuer = "" },
		"issuer at the top": func(o *Options) { o.Issuer = "http://127.0.0.1:1" },
		"issuer of a root":  func(o *Options) { o.Issuer = "http://127.0.0.1:1/" },
		"issuer with slash": func(o *Options) { o.Issuer += "/" },
		"no users":          func(o *Options) { o.Users = nil },
		"user twice":        func(o *Options) { o.Users = []User{alice(), alice()} },
		"no password":       func(o *Options) { o.Users = []User{{Name: "a", Password: " "}} },
		"name with colon":   func(o *Options) { o.Users = []User{{Name: "a:b", Password: "x"}} },
		"bad project":       func(o *Options) { o.Users = []User{{Name: "a", Password: "x", Projects: []Membership{{Project: "x"}}}} },
		"bad role": func(o *Options) {
			o.Users = []User{{Name: "a", Password: "x", Projects: []Membership{{Project: project1, Roles: []tenancy.Role{"root"}}}}}
		},
	} {
		o := good
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestPasswordsAreNotLogged(t *testing.T) {
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("user", "user", alice())
	if strings.Contains(log.String(), "wonderland") || !strings.Contains(log.String(), "alice") {
		t.Errorf("log: %s", log.String())
	}
}
