package deploy_test

import (
	"os"
	"strings"
	"testing"
)

// TestPinnedVersionsStay holds the versions that other than the newest must be. The
// engine is tested, fault by fault, in one version; the assertions of its test kit are
// compiled in by the plain version of their module; and later versions of the SDK have
// no queues.
func TestPinnedVersionsStay(t *testing.T) {
	for file, pins := range map[string][]string{
		"../go.mod": {
			"github.com/nats-io/nats-server/v2 v2.15.2\n",
			"github.com/nats-io/nats.go v1.55.0\n",
			"github.com/antithesishq/antithesis-sdk-go v0.8.0-default-no-op // indirect\n",
		},
		"../e2e/go.mod": {"github.com/huaweicloud/huaweicloud-sdk-go-v3 v0.1.30\n"},
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, pin := range pins {
			if !strings.Contains(string(text), pin) {
				t.Errorf("%s does not require %s", file, strings.TrimSpace(pin))
			}
		}
	}
}
