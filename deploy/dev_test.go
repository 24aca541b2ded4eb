package deploy

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dms/tenancy/accesskey"

	"github.com/google/go-cmp/cmp"
)

// startDev runs the development service in the folder and returns it with its end.
func startDev(t *testing.T, folder string) (d *Dev, stop func()) {
	t.Helper()
	d, err := NewDev(t.Context(), DevOptions{Listen: "127.0.0.1:0", Admin: "127.0.0.1:0", Data: folder, DiskLimit: 1 << 30}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	stop = func() {
		// The test's own context has ended when clean-ups run.
		ctx, cancel := context.WithTimeout(context.Background(), testLimit)
		defer cancel()
		if err := d.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	}
	t.Cleanup(stop)
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	if err := d.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if err := d.WriteEnv(); err != nil {
		t.Fatal(err)
	}
	return d, stop
}

// readEnv lets a shell read dev.env and returns what a child of that shell sees.
func readEnv(t *testing.T, folder string) map[string]string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `. "$1" && env`, "sh", filepath.Join(folder, "dev.env"))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	vars := make(map[string]string)
	for line := range bytes.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimSpace(string(line)), "=")
		if strings.HasPrefix(name, "DMS_") {
			vars[name] = value
		}
	}
	return vars
}

func call(t *testing.T, url, token string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("X-Auth-Token", token)
	}
	return send(t, req)
}

func send(t *testing.T, req *http.Request) int {
	t.Helper()
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

func TestDevTellsAShellHowToCallIt(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "it's a folder")
	d, _ := startDev(t, folder)
	env := readEnv(t, folder)
	for _, name := range []string{"DMS_ENDPOINT", "DMS_ADMIN", "DMS_IDP_ID", "DMS_ISSUER", "DMS_PROJECT_ID", "DMS_PROJECT_NAME",
		"DMS_ACCESS_KEY", "DMS_SECRET_KEY", "DMS_TOKEN", "DMS_ID_TOKEN_FILE", "DMS_USERNAME", "DMS_PASSWORD",
		"DMS_PROJECT2_ID", "DMS_PROJECT2_NAME", "DMS_ACCESS_KEY2", "DMS_SECRET_KEY2", "DMS_TOKEN2"} {
		if env[name] == "" {
			t.Errorf("%s is not set", name)
		}
		delete(env, name)
	}
	for name := range env {
		t.Errorf("%s is set, which nobody was told of", name)
	}
	for _, name := range []string{"dev.env", "id-token"} {
		info, err := os.Stat(filepath.Join(folder, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v, want 0600", name, info.Mode(), err)
		}
	}
	env = readEnv(t, folder)
	if env["DMS_ENDPOINT"] != d.URL() || env["DMS_ADMIN"] != d.AdminURL() {
		t.Errorf("the file names %s and %s, the node listens on %s and %s", env["DMS_ENDPOINT"], env["DMS_ADMIN"], d.URL(), d.AdminURL())
	}
}

func TestDevAdmitsItsCredentials(t *testing.T) {
	folder := t.TempDir()
	d, _ := startDev(t, folder)
	env := readEnv(t, folder)
	one, two := d.URL()+"/v2/"+env["DMS_PROJECT_ID"]+"/queues", d.URL()+"/v2/"+env["DMS_PROJECT2_ID"]+"/queues"
	signed := func(url, id, secret string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := accesskey.Sign(req, nil, id, accesskey.Secret(secret), time.Now()); err != nil {
			t.Fatal(err)
		}
		return send(t, req)
	}
	got := map[string]int{
		"token 1 in project 1":  call(t, one, env["DMS_TOKEN"]),
		"token 2 in project 2":  call(t, two, env["DMS_TOKEN2"]),
		"token 1 in project 2":  call(t, two, env["DMS_TOKEN"]),
		"token 2 in project 1":  call(t, one, env["DMS_TOKEN2"]),
		"no token":              call(t, one, ""),
		"key 1 in project 1":    signed(one, env["DMS_ACCESS_KEY"], env["DMS_SECRET_KEY"]),
		"key 2 in project 2":    signed(two, env["DMS_ACCESS_KEY2"], env["DMS_SECRET_KEY2"]),
		"key 1 in project 2":    signed(two, env["DMS_ACCESS_KEY"], env["DMS_SECRET_KEY"]),
		"key 1 with secret 2":   signed(one, env["DMS_ACCESS_KEY"], env["DMS_SECRET_KEY2"]),
		"the provider's issuer": call(t, env["DMS_ISSUER"]+"/.well-known/openid-configuration", ""),
	}
	want := map[string]int{
		"token 1 in project 1": 200, "token 2 in project 2": 200, "token 1 in project 2": 401, "token 2 in project 1": 401, "no token": 401,
		"key 1 in project 1": 200, "key 2 in project 2": 200, "key 1 in project 2": 401, "key 1 with secret 2": 401,
		"the provider's issuer": 200,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	if status := call(t, d.AdminURL()+"/readyz", ""); status != http.StatusOK {
		t.Errorf("/readyz answers %d", status)
	}
	// A redirect would lose the signature; unclean paths are unknown ones.
	if status := call(t, d.URL()+"/v2//queues/../queues", env["DMS_TOKEN"]); status < 400 || status >= 500 {
		t.Errorf("an unclean path is answered with %d, want a refusal", status)
	}
	_, metrics, _ := get(t, d.AdminURL()+"/metrics")
	if want := `http_route="/v2/{project}/queues"`; !strings.Contains(metrics, want) {
		t.Errorf("the metrics do not know %s", want)
	}
}

// The id token is exchanged the way the official SDK does it.
func TestDevExchangesItsIDToken(t *testing.T) {
	folder := t.TempDir()
	d, _ := startDev(t, folder)
	env := readEnv(t, folder)
	idToken, err := os.ReadFile(env["DMS_ID_TOKEN_FILE"])
	if err != nil {
		t.Fatal(err)
	}
	body := `{"auth":{"id_token":{"id":"` + strings.TrimSpace(string(idToken)) + `"},"scope":{"project":{"id":"` + env["DMS_PROJECT_ID"] + `"}}}}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.URL()+"/v3.0/OS-AUTH/id-token/tokens", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Idp-Id", env["DMS_IDP_ID"])
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	token := resp.Header.Get("X-Subject-Token")
	if resp.StatusCode != http.StatusCreated || token == "" {
		t.Fatalf("status %d, token of %d bytes, want 201 and a token", resp.StatusCode, len(token))
	}
	if status := call(t, d.URL()+"/v2/"+env["DMS_PROJECT_ID"]+"/queues", token); status != http.StatusOK {
		t.Errorf("the token is answered with %d", status)
	}
	if status := call(t, d.URL()+"/v2/"+env["DMS_PROJECT2_ID"]+"/queues", token); status != http.StatusUnauthorized {
		t.Errorf("the token is answered with %d in the other project, want 401", status)
	}
}

// Two services side by side find every global, and a restart every promise of the folder.
func TestDevsRunSideBySideAndKeepTheirFolders(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	d1, stop1 := startDev(t, one)
	d2, _ := startDev(t, two)
	before := readEnv(t, one)
	if d1.Addr() == d2.Addr() {
		t.Fatalf("both listen on %s", d1.Addr())
	}
	if status := call(t, d2.URL()+"/v2/"+before["DMS_PROJECT_ID"]+"/queues", before["DMS_TOKEN"]); status != http.StatusUnauthorized {
		t.Errorf("a token of the first is answered by the second with %d, want 401", status)
	}
	if second, err := NewDev(t.Context(), DevOptions{Listen: "127.0.0.1:0", Admin: "127.0.0.1:0", Data: one}, quiet()); !errors.Is(err, ErrFolderInUse) {
		t.Errorf("a second service in the same folder: %v, %v, want ErrFolderInUse", second, err)
	}
	stop1()
	d1, _ = startDev(t, one)
	after := readEnv(t, one)
	if after["DMS_SECRET_KEY"] != before["DMS_SECRET_KEY"] {
		t.Error("the access key changed with a restart")
	}
	if after["DMS_TOKEN"] == before["DMS_TOKEN"] {
		t.Error("the token was not renewed with a restart")
	}
	if status := call(t, d1.URL()+"/v2/"+after["DMS_PROJECT_ID"]+"/queues", after["DMS_TOKEN"]); status != http.StatusOK {
		t.Errorf("after a restart the service answers %d", status)
	}
}

func TestDevListensOnThisMachineOnly(t *testing.T) {
	for _, o := range []DevOptions{
		{Listen: "0.0.0.0:0"}, {Listen: "[::]:0"}, {Listen: "192.0.2.1:80"}, {Listen: ":8080"}, {Admin: "0.0.0.0:0"}, {Listen: "nonsense"},
	} {
		o.Data = t.TempDir()
		if d, err := NewDev(t.Context(), o, quiet()); err == nil {
			t.Errorf("%+v is accepted: %v", o, d.Stop(t.Context()))
		}
	}
}

// The node reports what failed and ends.
func TestRunEndsWhenTheNodeFails(t *testing.T) {
	d, err := NewDev(t.Context(), DevOptions{Listen: "127.0.0.1:0", Admin: "127.0.0.1:0", Data: t.TempDir(), DiskLimit: 1 << 30}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the disk is gone")
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	err = d.Run(ctx, func() error {
		if status := call(t, d.AdminURL()+"/readyz", ""); status != http.StatusOK {
			t.Errorf("before the failure /readyz answers %d", status)
		}
		d.fail(broken)
		if status := call(t, d.AdminURL()+"/readyz", ""); status != http.StatusServiceUnavailable {
			t.Errorf("after the failure /readyz answers %d", status)
		}
		return nil
	})
	if !errors.Is(err, broken) {
		t.Errorf("Run answers %v, want the failure", err)
	}
}
