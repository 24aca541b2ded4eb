package deploy

import (
	"testing"

	"dms/monitor"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
)

func TestReplicasThatTakeNoPartYetAreBehind(t *testing.T) {
	current, lags, away := &server.PeerInfo{Current: true}, &server.PeerInfo{}, &server.PeerInfo{Offline: true}
	to := func(leader string, desired *server.DesiredClusterInfo, others ...*server.PeerInfo) *server.ClusterInfo {
		return &server.ClusterInfo{Leader: leader, Replicas: others, Desired: desired}
	}
	change := &server.DesiredClusterInfo{}
	for name, c := range map[string]struct {
		log                      *server.ClusterInfo
		least                    int
		led                      bool
		current, behind, offline int
	}{
		"all are current":          {to("n1", nil, current, current), 3, true, 2, 0, 0},
		"one lags, one is away":    {to("n1", nil, lags, away), 3, true, 0, 1, 1},
		"one of two is missing":    {to("n1", nil, current), 3, true, 1, 1, 0},
		"and is to take part":      {to("n1", change, current), 3, true, 1, 1, 0},
		"a third is to go":         {to("n1", change, current, current), 3, true, 2, 1, 0},
		"a passing reader has one": {to("n1", nil), 0, true, 0, 0, 0},
		"another one leads":        {to("n2", change, current), 3, false, 0, 0, 0},
		"nobody leads":             {to("", nil, current, current), 3, false, 0, 1, 0},
	} {
		var state monitor.Node
		led := countReplicas(&state, c.log, "n1", c.least)
		want := monitor.Node{RaftGroups: 1, Current: c.current, Behind: c.behind, Offline: c.offline}
		if diff := cmp.Diff(want, state); diff != "" || led != c.led {
			t.Errorf("%s: led %v, want %v (-want +got):\n%s", name, led, c.led, diff)
		}
	}
}
