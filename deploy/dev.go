package deploy

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dms/deploy/devidp"
	"dms/deploy/keys"
	"dms/facade/console"
	"dms/tenancy"
	"dms/tenancy/accesskey"
)

// DevOptions say where the development service listens and keeps its data. Zero values
// are 127.0.0.1:8080, 127.0.0.1:9090 and ./.dms.
type DevOptions struct {
	Listen string
	Admin  string
	Data   string
	// DiskLimit bounds what each of the three members stores; 0 means a third of 65 %
	// of the disk.
	DiskLimit Bytes
}

// Dev is the whole service in one process, with an identity provider and two projects
// to play with. It is for development: its password is known to everyone, so it listens
// on this machine only.
type Dev struct {
	*Node
	folder   string
	provider *devidp.Provider
}

// What dms dev offers. The second project is there to see that the first one's data
// cannot be reached from it.
const (
	devProvider  = "dev" // X-Idp-Id
	devUser      = "demo"
	devPassword  = "demo"
	devTokenLife = 24 * time.Hour
)

func devProjects() [2]tenancy.Project {
	return [2]tenancy.Project{
		{ID: "d3500000000000000000000000000001", Name: "demo"},
		{ID: "d3500000000000000000000000000002", Name: "other"},
	}
}

// devUsers may do everything in both projects, act on the service beside that, or only
// look at the first project. Each has its name for a password.
func devUsers() []devidp.User {
	in := func(projects []tenancy.Project, roles ...tenancy.Role) (all []devidp.Membership) {
		for _, p := range projects {
			all = append(all, devidp.Membership{Project: p.ID, Name: p.Name, Roles: roles})
		}
		return all
	}
	p := devProjects()
	return []devidp.User{
		{Name: devUser, Password: devPassword, FullName: "Demo", Projects: in(p[:], tenancy.Manager)},
		{Name: "operator", Password: "operator", FullName: "Demo Operator", Projects: in(p[:], tenancy.Manager, tenancy.Operator)},
		{Name: "viewer", Password: "viewer", FullName: "Demo Viewer", Projects: in(p[:1], tenancy.Viewer)},
	}
}

// NewDev makes the development service. Keys are made at the first start.
func NewDev(ctx context.Context, o DevOptions, log *slog.Logger) (*Dev, error) {
	c, folder, err := o.config()
	if err != nil {
		return nil, err
	}
	unlock, err := lockFolder(folder)
	if err != nil {
		return nil, err
	}
	set, err := devKeys(c.KeysFolder)
	if err != nil {
		return nil, errors.Join(err, unlock(ctx))
	}
	n, err := newNode(ctx, c, set, log, variant{apiNodes: 1, storage: startThree, folder: unlock})
	if err != nil {
		return nil, err
	}
	d := &Dev{Node: n, folder: folder}
	if err := d.addCredentials(log); err != nil {
		return nil, errors.Join(err, n.Stop(context.WithoutCancel(ctx)))
	}
	return d, nil
}

func (o DevOptions) config() (Config, string, error) {
	c := Default()
	c.Node = "dev"
	c.Tenants.AutoProvision = true
	c.Disk.Limit = o.DiskLimit
	// Somebody's own machine is not to be filled with reserves, nor kept from being full.
	c.Disk.KeepFree, c.Disk.Reserve = 256<<20, 16<<20
	// Everybody who can reach it is on this machine, and would be slowed down for the
	// mistakes of all others.
	c.Limits.FailuresPerSecond = 0
	if o.Listen != "" {
		c.API.Listen = o.Listen
	}
	if o.Admin != "" {
		c.Admin.Listen = o.Admin
	}
	if o.Data == "" {
		o.Data = ".dms"
	}
	folder, err := filepath.Abs(o.Data)
	if err != nil {
		return Config{}, "", fmt.Errorf("data folder: %w", err)
	}
	c.DataFolder, c.KeysFolder = filepath.Join(folder, "data"), filepath.Join(folder, "keys")
	for _, address := range []string{c.API.Listen, c.Admin.Listen} {
		if err := checkAddress(address, true); err != nil {
			return Config{}, "", err
		}
		if !isLoopback(address) {
			return Config{}, "", fmt.Errorf("%s can be reached from outside: dms dev has a password that everyone knows, so it listens on 127.0.0.1 only", address)
		}
	}
	return c, folder, nil
}

// devKeys loads the keys, and makes them when there are none at all.
func devKeys(folder string) (*keys.Set, error) {
	if _, err := os.Stat(folder); errors.Is(err, os.ErrNotExist) {
		if err := keys.Init(folder); err != nil {
			return nil, err
		}
	}
	return keys.Load(folder)
}

// addCredentials makes the identity provider, now that the address is known, and the
// access keys, whose secrets stay the same as long as the keys do.
func (d *Dev) addCredentials(log *slog.Logger) error {
	projects := devProjects()
	for i, p := range projects {
		id := fmt.Sprintf("DMSDEMOKEY%d", i+1)
		secret, err := d.keys.Sealing("development access key " + id)
		if err != nil {
			return err
		}
		d.accessKeys = append(d.accessKeys, accesskey.Key{
			ID: id, Secret: accesskey.Secret(hex.EncodeToString(secret[0].Secret[:])),
			Project: p.ID, ProjectName: p.Name, Roles: []tenancy.Role{tenancy.Manager},
		})
	}
	provider, err := devidp.New(devidp.Options{
		Development: true, Issuer: d.URL() + devidp.Path, Dir: d.folder, Log: log,
		Redirects: []string{d.URL() + console.Path + "callback"}, LogoutRedirects: []string{d.URL() + console.Path},
		Users: devUsers(), Hint: "Try demo, operator or viewer. The password is the name.",
	})
	if err != nil {
		return fmt.Errorf("development identity provider: %w", err)
	}
	d.provider, d.mounted = provider, provider
	d.providers = []IdentityProvider{{
		ID: devProvider, Issuer: provider.Issuer(), Audience: []string{devidp.Audience}, RequireAccessType: true,
		Console: &ConsoleClient{Name: "Development", ClientID: devidp.ConsoleClient},
	}}
	return nil
}

// WriteEnv writes dev.env, from which a shell learns how to call the service, with
// tokens of 24 hours. The file is replaced at once and only its owner can read it.
func (d *Dev) WriteEnv() error {
	p := devProjects()
	idToken, err := d.provider.MintID(devUser, "", devTokenLife)
	if err != nil {
		return err
	}
	idTokenFile := filepath.Join(d.folder, "id-token")
	if err := writeFile(idTokenFile, []byte(idToken+"\n"), 0o600); err != nil {
		return fmt.Errorf("write ID token: %w", err)
	}
	var tokens [2]string
	for i := range p {
		if tokens[i], err = d.provider.MintAccess(devUser, p[i].ID, devTokenLife); err != nil {
			return err
		}
	}
	vars := [][2]string{
		{"DMS_ENDPOINT", d.URL()},
		{"DMS_ADMIN", d.AdminURL()},
		{"DMS_IDP_ID", devProvider},
		{"DMS_ISSUER", d.provider.Issuer()},
		{"DMS_PROJECT_ID", string(p[0].ID)},
		{"DMS_PROJECT_NAME", p[0].Name},
		{"DMS_ACCESS_KEY", d.accessKeys[0].ID},
		{"DMS_SECRET_KEY", string(d.accessKeys[0].Secret)},
		{"DMS_TOKEN", tokens[0]},
		{"DMS_ID_TOKEN_FILE", idTokenFile},
		{"DMS_USERNAME", devUser},
		{"DMS_PASSWORD", devPassword},
		{"DMS_PROJECT2_ID", string(p[1].ID)},
		{"DMS_PROJECT2_NAME", p[1].Name},
		{"DMS_ACCESS_KEY2", d.accessKeys[1].ID},
		{"DMS_SECRET_KEY2", string(d.accessKeys[1].Secret)},
		{"DMS_TOKEN2", tokens[1]},
	}
	if err := writeFile(filepath.Join(d.folder, "dev.env"), envFile(vars), 0o600); err != nil {
		return fmt.Errorf("write dev.env: %w", err)
	}
	return nil
}

// envFile writes variables for a shell to read. Assignments stand alone on their lines,
// so that simpler readers understand them too.
func envFile(vars [][2]string) []byte {
	var b strings.Builder
	b.WriteString("# How to call the running dms dev. Written anew at each start; tokens live for 24 hours.\n")
	names := make([]string, len(vars))
	for i, v := range vars {
		names[i] = v[0]
		fmt.Fprintf(&b, "%s=%s\n", v[0], quoteShell(v[1]))
	}
	b.WriteString("export " + strings.Join(names, " ") + "\n")
	return []byte(b.String())
}

// quoteShell makes one word of any text, for every POSIX shell.
func quoteShell(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:+=,@%", r)
	}
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
