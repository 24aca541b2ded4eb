package deploy_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"dms/deploy"
	"dms/deploy/deploytest"
	"dms/deploy/engine/enginetest"
	"dms/tenancy"

	"github.com/nats-io/nats-server/v2/server"
)

func manager(t *testing.T, c *deploytest.Cluster, node int) *caller {
	t.Helper()
	project := c.AccessKey(0).Project
	return newCaller(t, c.URL(t, node), project, c.Token(t, project, tenancy.Manager))
}

// create returns the answer to creating a queue. It may be called from any goroutine.
func (c *caller) create(body string) (status int, id, code string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.base+"/queues", strings.NewReader(body))
	if err != nil {
		c.t.Error(err)
		return 0, "", ""
	}
	req.Header.Set("X-Auth-Token", c.token)
	resp, err := c.client.Do(req)
	if err != nil {
		c.t.Error(err)
		return 0, "", ""
	}
	defer resp.Body.Close()
	var answer struct {
		ID   string `json:"id"`
		Code string `json:"error_code"`
	}
	data, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(data, &answer)
	}
	if err != nil {
		c.t.Errorf("create queue answers %q: %v", data, err)
	}
	return resp.StatusCode, answer.ID, answer.Code
}

func TestOfTwoNodesThatCreateANameOneSucceeds(t *testing.T) {
	const lanes, names = 4, 50 // 200 names
	c := deploytest.Start(t, func(c *deploy.Config) { c.Tenants.Limits.Queues = 500 })
	nodes := [2]*caller{manager(t, c, 0), manager(t, c, 1)}
	var wg sync.WaitGroup
	for lane := range lanes {
		wg.Go(func() {
			for i := range names {
				if !oneCreates(t, nodes, fmt.Sprintf("name-%d-%d", lane, i)) {
					return
				}
			}
		})
	}
	wg.Wait()
}

// oneCreates lets both nodes create the name at the same moment. It may be called from
// any goroutine.
func oneCreates(t *testing.T, nodes [2]*caller, name string) bool {
	t.Helper()
	var status [2]int
	var ids, codes [2]string
	var wg sync.WaitGroup
	for n, node := range nodes {
		wg.Go(func() { status[n], ids[n], codes[n] = node.create(`{"name":"` + name + `"}`) })
	}
	wg.Wait()
	won := 0
	if status[1] == http.StatusCreated {
		won = 1
	}
	lost := 1 - won
	if status[won] != http.StatusCreated || status[lost] != http.StatusBadRequest || codes[lost] != "DMS.10240017" {
		t.Errorf("name %s: statuses %v, codes %v", name, status, codes)
		return false
	}
	// It is there through the other node at once, and deleted so that the number of
	// streams stays small.
	if got := nodes[lost].status(http.MethodGet, "/queues/"+ids[won]); got != http.StatusOK {
		t.Errorf("name %s: the other node answers %d for the queue", name, got)
		return false
	}
	if got := nodes[lost].status(http.MethodDelete, "/queues/"+ids[won]); got != http.StatusNoContent {
		t.Errorf("name %s: deleting the queue answers %d", name, got)
		return false
	}
	return true
}

// status is the status of an answer, or 0. It may be called from any goroutine.
func (c *caller) status(method, path string) int {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, nil)
	if err != nil {
		c.t.Error(err)
		return 0
	}
	req.Header.Set("X-Auth-Token", c.token)
	resp, err := c.client.Do(req)
	if err != nil {
		c.t.Error(err)
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func TestEveryStoreIsCurrentOnThreeMembers(t *testing.T) {
	c := deploytest.Start(t)
	node := manager(t, c, 0)
	want := map[string]uint64{"KV_ctl": 0, "dead": 2, "delay": 2}
	for _, mode := range []string{"NORMAL", "FIFO"} {
		var q created
		node.must(201, "POST", "/queues", `{"name":"q-`+mode+`","queue_mode":"`+mode+`","redrive_policy":"enable","max_consume_count":1}`, &q)
		want["q_"+strings.ReplaceAll(q.ID, "-", "")] = 2
		queue := "/queues/" + q.ID
		var g struct{ Groups []created }
		node.must(201, "POST", queue+"/groups", `{"groups":[{"name":"g"}]}`, &g)
		node.must(201, "POST", queue+"/messages", `{"messages":[{"body":"a"},{"body":"b"},{"body":"c","delay_time":600000}]}`, nil)
		group := queue + "/groups/" + g.Groups[0].ID
		var got []struct{ Handler string }
		node.must(200, "GET", group+"/messages", "", &got)
		if len(got) != 2 {
			t.Fatalf("%s: consumed %d messages, want 2", mode, len(got))
		}
		node.must(200, "POST", group+"/ack", `{"message":[{"handler":"`+got[0].Handler+`","status":"success"},{"handler":"`+got[1].Handler+`","status":"fail"}]}`, nil)
	}
	enginetest.Wait(t, func() string { return threeReplicas(t, c, want) })
}

// threeReplicas compares what each member itself says of each stream. Only one project
// has streams; those of the service's own account have other names.
func threeReplicas(t *testing.T, c *deploytest.Cluster, want map[string]uint64) (problem string) {
	t.Helper()
	states := make(map[string][]server.StreamState)
	for i := range deploytest.Size {
		info, err := c.Member(t, i).Jsz(&server.JSzOptions{Accounts: true, Streams: true, Config: true})
		if err != nil {
			return err.Error()
		}
		for _, a := range info.AccountDetails {
			for _, s := range a.Streams {
				if s.Config.Replicas != 3 || s.Config.Storage != server.FileStorage {
					t.Fatalf("stream %s has %d replicas on %v", s.Name, s.Config.Replicas, s.Config.Storage)
				}
				if s.Cluster != nil && s.Cluster.Leader == c.Member(t, i).Name() {
					for _, r := range s.Cluster.Replicas {
						if !r.Current || r.Offline {
							problem = fmt.Sprintf("the replica of %s on %s is not current", s.Name, r.Name)
						}
					}
				}
				states[s.Name] = append(states[s.Name], s.State)
			}
		}
	}
	for name, messages := range want {
		have := states[name]
		if len(have) != deploytest.Size {
			return fmt.Sprintf("stream %s is on %d members", name, len(have))
		}
		for _, s := range have {
			if s.LastSeq != have[0].LastSeq || s.Msgs != have[0].Msgs || messages > 0 && s.Msgs != messages {
				return fmt.Sprintf("stream %s: the members hold %+v, want %d messages", name, have, messages)
			}
		}
	}
	return problem
}
