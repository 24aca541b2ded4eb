package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/basic"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/region"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/request"
	dms "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/dms/v2"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/dms/v2/model"
	dmsregion "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/dms/v2/region"
)

// sendAndCount makes calls with and without a body and a query.
func (c sdk) sendAndCount() {
	c.t.Helper()
	queue := c.queue(nil)
	c.groups(queue, "g")
	c.send(queue, message("signed <&> ünï"))
	if got := *c.listed(queue, true).ProducedMessages; got != 1 {
		c.t.Errorf("the queue holds %d messages, want 1", got)
	}
}

func TestSDKSignsWithDerivedKeys(t *testing.T) {
	t.Parallel()
	env := service.Env
	key := newCustomer(t).accessKey(`"roles":["manager"]`)
	build := func(secret string) sdk {
		credential := basic.NewCredentialsBuilder().WithAk(key.AccessKey).WithSk(secret).WithProjectId(env.Projects[0].ID).
			WithDerivedPredicate(func(*request.DefaultHttpRequest) bool { return true }).Build()
		return sdk{t: t, DmsClient: dms.NewDmsClient(dms.DmsClientBuilder().
			WithRegion(region.NewRegion("local-1", env.Endpoint)).WithDerivedAuthServiceName("dms").
			WithCredential(credential).Build())}
	}
	build(key.SecretKey).sendAndCount()
	if _, err := build(env.Projects[1].SecretKey).ListQueues(&model.ListQueuesRequest{}); !isRefusal(err, 401, "APIGW.0301") {
		t.Errorf("with another secret: %v", err)
	}
}

// Without a project the client asks for the one of its region.
func TestSDKFindsItsProjectByTheRegion(t *testing.T) {
	t.Parallel()
	env := service.Env
	owner := newCustomer(t)
	for name, row := range map[string]struct {
		region    string
		predicate func(*request.DefaultHttpRequest) bool
	}{
		"region of the service":      {"local-1", nil},
		"region named like project":  {owner.project.Name, nil},
		"region, with derived keys":  {"local-1", func(*request.DefaultHttpRequest) bool { return true }},
		"project, with derived keys": {owner.project.Name, func(*request.DefaultHttpRequest) bool { return true }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := customer{t, owner.client, owner.project, owner.base}.accessKey(`"roles":["manager"]`)
			c := basic.NewCredentialsBuilder().WithAk(key.AccessKey).WithSk(key.SecretKey).WithIamEndpointOverride(env.Endpoint)
			if row.predicate != nil {
				c = c.WithDerivedPredicate(row.predicate)
			}
			sdk{t: t, DmsClient: dms.NewDmsClient(dms.DmsClientBuilder().WithDerivedAuthServiceName("dms").
				WithRegion(region.NewRegion(row.region, env.Endpoint)).WithCredential(c.Build()).Build())}.sendAndCount()
		})
	}
	t.Run("a region that is none", func(t *testing.T) {
		t.Parallel()
		key := owner.project
		defer func() {
			if said := fmt.Sprint(recover()); !strings.Contains(said, "No project id found") {
				t.Errorf("the client says %s", said)
			}
		}()
		dms.NewDmsClient(dms.DmsClientBuilder().WithRegion(region.NewRegion("elsewhere", env.Endpoint)).
			WithCredential(basic.NewCredentialsBuilder().WithAk(key.AccessKey).WithSk(key.SecretKey).WithIamEndpointOverride(env.Endpoint).Build()).Build())
	})
}

// A security token travels among the signed headers. The service gives out none and has
// no use for it, but it must not harm.
func TestSDKSignsWithASecurityToken(t *testing.T) {
	t.Parallel()
	key := newCustomer(t).accessKey(`"roles":["manager"]`)
	newSDK(t, service.Env.Endpoint, basic.NewCredentialsBuilder().WithAk(key.AccessKey).WithSk(key.SecretKey).
		WithProjectId(key.ID).WithSecurityToken("a-security-token").Build()).sendAndCount()
}

// This test changes the environment, so that it cannot run beside others.
func TestSDKIsConfiguredByTheEnvironmentAlone(t *testing.T) {
	env := service.Env
	build := func() sdk {
		return sdk{t: t, DmsClient: dms.NewDmsClient(dms.DmsClientBuilder().WithRegion(dmsregion.ValueOf("local-1")).Build())}
	}
	t.Setenv("HUAWEICLOUD_SDK_REGION_DMS_LOCAL_1", env.Endpoint)
	t.Run("access key", func(t *testing.T) {
		t.Setenv("HUAWEICLOUD_SDK_AK", env.Projects[0].AccessKey)
		t.Setenv("HUAWEICLOUD_SDK_SK", env.Projects[0].SecretKey)
		t.Setenv("HUAWEICLOUD_SDK_PROJECT_ID", env.Projects[0].ID)
		c := build()
		c.t = t
		c.sendAndCount()
	})
	t.Run("credentials file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "credentials")
		content := fmt.Sprintf("[basic]\nidp_id = %s\nid_token_file = %s\nproject_id = %s\niam_endpoint = %s\n",
			env.ProviderID, env.IDTokenFile, env.Projects[0].ID, env.Endpoint)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("HUAWEICLOUD_SDK_CREDENTIALS_FILE", file)
		c := build()
		c.t = t
		c.sendAndCount()
	})
}

func TestSDKIsRefusedWithForeignOrBadCredentials(t *testing.T) {
	t.Parallel()
	env := service.Env
	one, two := newCustomer(t).accessKey(`"roles":["viewer"]`), env.Projects[1]
	with := func(p Project, change func(*Project)) Project {
		change(&p)
		return p
	}
	badFile := filepath.Join(t.TempDir(), "id-token")
	if err := os.WriteFile(badFile, []byte("not.a.token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		credential *basic.Credentials
		status     int
		code       string
	}{
		"wrong secret key":            {byAccessKey(with(one, func(p *Project) { p.SecretKey = two.SecretKey })), 401, "APIGW.0301"},
		"unknown access key":          {byAccessKey(with(one, func(p *Project) { p.AccessKey = "NOSUCHKEY" })), 401, "APIGW.0301"},
		"key of another project":      {byAccessKey(with(two, func(p *Project) { p.ID = one.ID })), 401, "DMS.10240104"},
		"project that does not exist": {byAccessKey(with(one, func(p *Project) { p.ID = strings.Repeat("0", 32) })), 401, "DMS.10240104"},
		"malformed project":           {byAccessKey(with(one, func(p *Project) { p.ID = "demo" })), 400, "DMS.10240005"},
		"ID token that is none":       {byIDToken(env, one, badFile), 401, "DMS.10240101"},
		"ID token without project":    {byIDToken(env, Project{ID: strings.Repeat("0", 32)}, env.IDTokenFile), 401, "DMS.10240104"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := newSDK(t, env.Endpoint, c.credential).ListQueues(&model.ListQueuesRequest{})
			if !isRefusal(err, c.status, c.code) {
				t.Errorf("the client reports %v, want %d %s", err, c.status, c.code)
			}
		})
	}
}
