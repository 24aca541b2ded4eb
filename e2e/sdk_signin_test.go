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
	build := func(secret string) sdk {
		credential := basic.NewCredentialsBuilder().WithAk(env.Projects[0].AccessKey).WithSk(secret).WithProjectId(env.Projects[0].ID).
			WithDerivedPredicate(func(*request.DefaultHttpRequest) bool { return true }).Build()
		return sdk{t: t, DmsClient: dms.NewDmsClient(dms.DmsClientBuilder().
			WithRegion(region.NewRegion("local-1", env.Endpoint)).WithDerivedAuthServiceName("dms").
			WithCredential(credential).Build())}
	}
	build(env.Projects[0].SecretKey).sendAndCount()
	if _, err := build(env.Projects[1].SecretKey).ListQueues(&model.ListQueuesRequest{}); !isRefusal(err, 401, "APIGW.0301") {
		t.Errorf("with another secret: %v", err)
	}
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
	one, two := env.Projects[0], env.Projects[1]
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
