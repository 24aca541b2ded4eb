package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"dms/e2e"
	"dms/e2e/workload"
)

const (
	stormNames = 4 // each used by one client again and again
	stormFor   = 15 * time.Second
)

// storm makes and deletes queues under the same few names while a leader is killed. What
// was in a deleted queue must not be in the next one of its name.
func storm(ctx context.Context, f *field) error {
	token, err := f.cluster.token(ctx, 0)
	if err != nil {
		return err
	}
	begun, cancel := context.WithTimeout(ctx, stormFor)
	defer cancel()
	all := make([]namesake, stormNames)
	var wg sync.WaitGroup
	for i := range all {
		all[i] = namesake{cluster: f.cluster, token: token, project: f.cluster.keys[0].project, name: fmt.Sprintf("storm-%d", i)}
		wg.Go(func() {
			for begun.Err() == nil {
				all[i].live(ctx) // a life that has begun is brought to its end
			}
		})
	}
	f.hold(begun, time.Second, stormFor/2)
	err = f.kill(ctx, f.leader())
	wg.Wait()
	lives := 0
	for _, n := range all {
		lives += n.lives
		f.complaints = append(f.complaints, n.ghosts...)
	}
	f.note("%d queues lived under %d names", lives, stormNames)
	if lives == 0 {
		f.complain("no queue could be made and deleted")
	}
	return err
}

// namesake is a name for queues that live one after the other.
type namesake struct {
	cluster              *cluster
	token, project, name string

	calls, lives int
	ghosts       []string
}

// live makes a queue, looks for what it did not get itself, and deletes it.
func (n *namesake) live(ctx context.Context) {
	var queue struct{ ID string }
	made := n.insist(ctx, "POST", "/queues", fmt.Sprintf(`{"name":%q}`, n.name), &queue)
	if queue.ID == "" {
		// An attempt without an answer had made it.
		if queue.ID = n.find(ctx); queue.ID == "" {
			n.ghosts = append(n.ghosts, fmt.Sprintf("queue %s cannot be made (%d) and is not listed", n.name, made))
			return
		}
	}
	body := fmt.Sprintf("%s-%d", queue.ID, n.calls)
	var groups struct{ Groups []struct{ ID string } }
	n.insist(ctx, "POST", "/queues/"+queue.ID+"/groups", `{"groups":[{"name":"g"}]}`, &groups)
	n.insist(ctx, "POST", "/queues/"+queue.ID+"/messages", fmt.Sprintf(`{"messages":[{"body":%q}]}`, body), nil)
	if len(groups.Groups) == 1 {
		var got []struct{ Message struct{ Body string } }
		n.insist(ctx, "GET", "/queues/"+queue.ID+"/groups/"+groups.Groups[0].ID+"/messages?time_wait=1", "", &got)
		for _, d := range got {
			if d.Message.Body != body {
				n.ghosts = append(n.ghosts, fmt.Sprintf("queue %s got the message %s, which was sent to another of its name", queue.ID, d.Message.Body))
			}
		}
	}
	if status := n.insist(ctx, "DELETE", "/queues/"+queue.ID, "", nil); status/100 == 2 || status == http.StatusNotFound {
		n.lives++
	} else {
		n.ghosts = append(n.ghosts, fmt.Sprintf("queue %s cannot be deleted: %d", queue.ID, status))
	}
}

// find looks for the id of the queue of the name.
func (n *namesake) find(ctx context.Context) string {
	var list struct{ Queues []struct{ ID, Name string } }
	n.insist(ctx, "GET", "/queues", "", &list)
	for _, q := range list.Queues {
		if q.Name == n.name {
			return q.ID
		}
	}
	return ""
}

// insist makes a call until something is known of it, at one node after the other. It
// decodes a good answer and returns the status, which is 0 when nothing became known.
func (n *namesake) insist(ctx context.Context, method, path, body string, into any) int {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for ctx.Err() == nil {
		n.calls++
		node := n.cluster.nodes[n.calls%size]
		call, end := context.WithTimeout(ctx, callLimit)
		a, err := e2e.NewClient(node.url(), n.token, probes).Do(call, method, "/v2/"+n.project+path, body)
		end()
		if err == nil && a.Status < 500 && a.Status != http.StatusTooManyRequests {
			if into != nil && a.Status/100 == 2 {
				if err := json.Unmarshal(a.Body, into); err != nil {
					n.ghosts = append(n.ghosts, fmt.Sprintf("%s %s: %v: %v", method, path, err, a))
				}
			}
			return a.Status
		}
		workload.Pause(ctx, 200*time.Millisecond)
	}
	return 0
}
