package deploy_test

import (
	"os"
	"path/filepath"
	"testing"

	"dms/deploy/deploytest"
	"dms/tenancy"
)

// Storage does not sync the accounts that it keeps. When all nodes lose their power soon
// after an account was made, its files are absent or empty.
func TestAccountsThatWereLostEverywhereAreRestored(t *testing.T) {
	c := deploytest.Start(t)
	project := c.AccessKey(0).Project
	via := newCaller(t, c.URL(t, 0), project, c.Token(t, project, tenancy.Manager))
	var made struct{ ID string }
	via.must(201, "POST", "/queues", `{"name":"kept"}`, &made)
	var groups struct{ Groups []struct{ ID string } }
	via.must(201, "POST", "/queues/"+made.ID+"/groups", `{"groups":[{"name":"g"}]}`, &groups)
	via.must(201, "POST", "/queues/"+made.ID+"/messages", `{"messages":[{"body":"still here"}]}`, nil)
	c.StopAll(t)
	for i := range deploytest.Size {
		files, err := filepath.Glob(filepath.Join(c.DataFolder(i), "member", "accounts", "*.jwt"))
		if err != nil || len(files) < 3 {
			t.Fatalf("node %d has the accounts %v, %v; want one of the system, of the service and of a project", i, files, err)
		}
		for j, f := range files {
			if (i+j)%2 == 0 {
				err = os.Remove(f)
			} else {
				err = os.Truncate(f, 0)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	c.StartAll(t)
	via = newCaller(t, c.URL(t, 1), project, c.Token(t, project, tenancy.Manager))
	var got []struct{ Message struct{ Body string } }
	via.must(200, "GET", "/queues/"+made.ID+"/groups/"+groups.Groups[0].ID+"/messages?time_wait=20", "", &got)
	if len(got) != 1 || got[0].Message.Body != "still here" {
		t.Errorf("after the start the queue gives %+v, want the message sent before", got)
	}
	for i := range deploytest.Size { // later messages are in three replicas again
		via := newCaller(t, c.URL(t, i), project, c.Token(t, project, tenancy.Manager))
		via.must(201, "POST", "/queues/"+made.ID+"/messages", `{"messages":[{"body":"and more"}]}`, nil)
	}
}
