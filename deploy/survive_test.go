package deploy_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"dms/deploy"
	"dms/deploy/deploytest"
	"dms/monitor/cluster"
	"dms/tenancy"
)

// clusterState asks a node how the cluster is.
func clusterState(t *testing.T, c *deploytest.Cluster, i int) (s cluster.State) {
	t.Helper()
	url := c.URL(t, i)
	op := &caller{t, url, c.Token(t, c.AccessKey(0).Project, tenancy.Operator), &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	op.must(200, "GET", "/admin/v1/cluster", "", &s)
	return s
}

func readyz(t *testing.T, c *deploytest.Cluster, i int) (int, string) {
	t.Helper()
	return getAdmin(t, c, i, "/readyz")
}

// getAdmin asks a node's listener for operators, on a connection of its own.
func getAdmin(t *testing.T, c *deploytest.Cluster, i int, path string) (status int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.Node(t, i).AdminURL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// waitVerdict waits until a node says so of the cluster.
func waitVerdict(t *testing.T, c *deploytest.Cluster, i int, want string) {
	t.Helper()
	waitWithin(t, recovery, "the verdict "+want, func() (string, bool) {
		s := clusterState(t, c, i)
		return fmt.Sprintf("%+v", s), s.Verdict == want
	})
}

// scrubOften compares and reads as often as a test needs.
func scrubOften(c *deploy.Config) {
	c.Scrub = deploy.ScrubOptions{Every: time.Second, ReadEvery: time.Second, BytesPerSecond: 1 << 30}
}

func TestTheClusterSaysHowManyNodesItCanLose(t *testing.T) {
	t.Parallel() // it waits more than it works
	c := deploytest.Start(t)
	waitVerdict(t, c, 0, "3 of 3, can lose 1")
	c.Stop(t, 2)
	waitVerdict(t, c, 0, "2 of 3, can lose none")
	if s := clusterState(t, c, 1); len(s.Silent) != 1 || s.Silent[0] != "n3" || !s.Stores {
		t.Errorf("with one node stopped: %+v", s)
	}
	c.Crash(t, 1)
	waitVerdict(t, c, 0, "0 of 3, nothing is stored") // it is up, and has nobody to agree with
	waitWithin(t, recovery, "the last node not to be ready", func() (string, bool) {
		status, body := readyz(t, c, 0)
		return fmt.Sprintf("%d %s", status, body), status == http.StatusServiceUnavailable
	})
	c.Restart(t, 1)
	waitWithin(t, recovery, "the node to be ready again", func() (string, bool) {
		status, body := readyz(t, c, 0)
		return fmt.Sprintf("%d %s", status, body), status == http.StatusOK
	})
	waitVerdict(t, c, 0, "2 of 3, can lose none")
	c.Restart(t, 2)
	waitVerdict(t, c, 0, "3 of 3, can lose 1")
}

// store sends messages of about 4 KiB, each with its number.
func store(via *caller, queue string, from, to int) {
	via.t.Helper()
	storeSized(via, queue, from, to, 4000)
}

// storeSized is store for messages of another size; ten of them are one request.
func storeSized(via *caller, queue string, from, to, size int) {
	via.t.Helper()
	pad := strings.Repeat("x", size)
	for from < to {
		var b strings.Builder
		b.WriteString(`{"messages":[`)
		for i := range min(10, to-from) {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"body":{"n":%d,"pad":"%s"}}`, from+i, pad)
		}
		b.WriteString(`]}`)
		via.must(201, "POST", queue+"/messages", b.String(), nil)
		from = min(from+10, to)
	}
}

// send sends one message with its number, as its own key, and answers with the status; 0
// when there is no answer.
func (c *caller) send(queue string, n int) int {
	req, err := http.NewRequestWithContext(c.t.Context(), "POST", c.base+queue+"/messages", strings.NewReader(fmt.Sprintf(`{"messages":[{"body":{"n":%d}}]}`, n)))
	if err != nil {
		c.t.Error(err)
		return 0
	}
	req.Header.Set("X-Auth-Token", c.token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", fmt.Sprint("message-", n))
	resp, err := c.client.Do(req)
	if err != nil {
		return 0
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		c.t.Error(err)
	}
	if err := resp.Body.Close(); err != nil {
		c.t.Error(err)
	}
	return resp.StatusCode
}

// drain consumes and acknowledges until every number has come, and returns how often.
func drain(t *testing.T, via *caller, group string, n int) map[int]int {
	t.Helper()
	seen := make(map[int]int)
	waitWithin(t, recovery, fmt.Sprintf("%d messages", n), func() (string, bool) {
		var got []struct {
			Message struct{ Body struct{ N int } }
			Handler string
		}
		via.must(200, "GET", group+"/messages?max_msgs=10&time_wait=3", "", &got)
		if len(got) > 0 {
			var acks []string
			for _, m := range got {
				seen[m.Message.Body.N]++
				acks = append(acks, fmt.Sprintf(`{"handler":%q,"status":"success"}`, m.Handler))
			}
			via.must(200, "POST", group+"/ack", `{"message":[`+strings.Join(acks, ",")+`]}`, nil)
		}
		return fmt.Sprintf("%d have come", len(seen)), len(seen) >= n
	})
	return seen
}

// leaderOf returns which node leads the stream of the only queue, and its name.
func leaderOf(t *testing.T, c *deploytest.Cluster) (node int, stream string) {
	t.Helper()
	node = -1
	waitWithin(t, recovery, "a leader of the queue", func() (string, bool) {
		for _, l := range c.Leads() {
			if l.Consumer == "" && strings.HasPrefix(l.Stream, "q_") {
				for i := range deploytest.Size {
					if c.Member(t, i) == l.Member {
						node, stream = i, l.Stream
						return "", true
					}
				}
			}
		}
		return "none leads", false
	})
	return node, stream
}

func TestHealthyReplicasAreNotSuspectedUnderLoad(t *testing.T) {
	t.Parallel() // it waits more than it works
	c := deploytest.Start(t, scrubOften)
	project := c.AccessKey(0).Project
	via := func(i int) *caller { return newCaller(t, c.URL(t, i), project, c.Token(t, project, tenancy.Manager)) }
	queue, group := makeQueue(via(0))
	stop := make(chan struct{})
	var load sync.WaitGroup
	for i := range deploytest.Size {
		caller := via(i)
		load.Go(func() { // ends through stop
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				caller.do("POST", queue+"/messages", fmt.Sprintf(`{"messages":[{"body":%d},{"body":"x"}]}`, n), nil)
				var got []struct{ Handler string }
				caller.do("GET", group+"/messages?time_wait=1", "", &got)
				if len(got) > 0 {
					caller.do("POST", group+"/ack", `{"message":[{"handler":"`+got[0].Handler+`","status":"success"}]}`, nil)
				}
				switch n % 50 {
				case 30:
					caller.do("POST", queue+"/purge", `{"source":"queue"}`, nil)
				case 40: // a queue that lives for a moment
					var q created
					if caller.do("POST", "/queues", fmt.Sprintf(`{"name":"brief-%d-%d"}`, i, n), &q) == 201 {
						caller.do("POST", "/queues/"+q.ID+"/messages", `{"messages":[{"body":1}]}`, nil)
						caller.do("DELETE", "/queues/"+q.ID, "", nil)
					}
				}
			}
		})
	}
	defer load.Wait()
	defer close(stop)
	for i := range deploytest.Size {
		waitWithin(t, recovery, "five comparisons and readings", func() (string, bool) {
			passes := metric(t, c, i, `dms_node_scrub_passes_total{kind="state"`)
			readings := metric(t, c, i, `dms_node_scrub_passes_total{kind="content"`)
			return fmt.Sprintf("%g comparisons, %g readings", passes, readings), passes >= 5 && readings >= 5
		})
	}
	for _, n := range clusterState(t, c, 0).Nodes {
		if len(n.Findings) > 0 {
			t.Errorf("%s suspects %+v", n.Name, n.Findings)
		}
	}
}

// metric returns the value of the first metric that begins so; 0 if there is none.
func metric(t *testing.T, c *deploytest.Cluster, i int, prefix string) (value float64) {
	t.Helper()
	_, text := getAdmin(t, c, i, "/metrics")
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, prefix) {
			if err := json.Unmarshal([]byte(line[strings.LastIndexByte(line, ' ')+1:len(line)-1]), &value); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			return value
		}
	}
	return 0
}
