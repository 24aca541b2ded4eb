package e2e

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/chnsz/golangsdk"
	"github.com/chnsz/golangsdk/openstack/dms/v1/groups"
	"github.com/chnsz/golangsdk/openstack/dms/v1/queues"
	"github.com/google/go-cmp/cmp"
)

// v1Clients are the older vendor's client for the first project, once with a token and
// once signing with an access key. It accepts none but the documented statuses.
func v1Clients(t *testing.T) map[string]*golangsdk.ServiceClient {
	t.Helper()
	env := service.Env
	p := env.Projects[0]
	client := func(provider *golangsdk.ProviderClient) *golangsdk.ServiceClient {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		t.Cleanup(transport.CloseIdleConnections)
		provider.HTTPClient = http.Client{Transport: Transport{Base: transport, Description: description}}
		return &golangsdk.ServiceClient{ProviderClient: provider, Endpoint: env.Endpoint + "/v1.0/" + p.ID + "/"}
	}
	return map[string]*golangsdk.ServiceClient{
		"token": client(&golangsdk.ProviderClient{TokenID: p.Token}),
		"access key": client(&golangsdk.ProviderClient{AKSKAuthOptions: golangsdk.AKSKAuthOptions{
			AccessKey: p.AccessKey, SecretKey: p.SecretKey, ProjectId: p.ID}}),
	}
}

func TestV1ClientManagesQueuesAndGroups(t *testing.T) {
	t.Parallel()
	for mode, c := range v1Clients(t) {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			ops := queues.CreateOps{Name: name(t), QueueMode: "FIFO", Description: "of an older client", RedrivePolicy: "enable", MaxConsumeCount: 7}
			made, err := queues.Create(c, ops).Extract()
			if err != nil {
				t.Fatal(err)
			}
			if made.Name != ops.Name || made.KafkaTopic != "" {
				t.Errorf("the queue was made as %+v", made)
			}
			owner := newCustomer(t)
			t.Cleanup(func() { owner.drop("/queues/" + made.ID) })
			if err := queues.Create(c, ops).Err; !answered400(err, "DMS.10240017") {
				t.Errorf("creating it again: %v", err)
			}

			got, err := queues.Get(c, made.ID, true).Extract()
			if err != nil {
				t.Fatal(err)
			}
			want := &queues.Queue{ID: made.ID, Name: ops.Name, Created: got.Created, Description: ops.Description,
				QueueMode: "FIFO", Reservation: 4320, MaxMsgSizeByte: 524288, RedrivePolicy: "enable", MaxConsumeCount: 7}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the queue (-created +read):\n%s", diff)
			}
			all, err := queues.List(c, true).AllPages()
			if err != nil {
				t.Fatal(err)
			}
			list, err := queues.ExtractQueues(all)
			if err != nil {
				t.Fatal(err)
			}
			listed := 0
			for _, q := range list {
				if q.ID == made.ID {
					listed++
					if diff := cmp.Diff(*got, q); diff != "" {
						t.Errorf("the queue (-shown +listed):\n%s", diff)
					}
				}
			}
			if listed != 1 {
				t.Errorf("the queue is listed %d times", listed)
			}
			v1Groups(t, c, made.ID)
			if err := queues.Delete(c, made.ID).Err; err != nil {
				t.Fatal(err)
			}
			var gone golangsdk.ErrDefault404
			if err := queues.Delete(c, made.ID).Err; !errors.As(err, &gone) {
				t.Errorf("deleting it again: %v", err)
			}
			if err := queues.Get(c, made.ID, true).Err; !errors.As(err, &gone) {
				t.Errorf("reading it after that: %v", err)
			}
		})
	}
}

// v1Groups leads groups of a queue through their life.
func v1Groups(t *testing.T, c *golangsdk.ServiceClient, queue string) {
	t.Helper()
	ops := groups.CreateOps{Groups: []groups.GroupOps{{Name: "second"}, {Name: "first"}}}
	made, err := groups.Create(c, queue, ops).Extract()
	if err != nil {
		t.Fatal(err)
	}
	if len(made) != 2 || made[0].Name != "second" || made[1].Name != "first" {
		t.Fatalf("the groups were made as %+v", made)
	}
	again := groups.CreateOps{Groups: ops.Groups[1:]}
	if err := groups.Create(c, queue, again).Err; !answered400(err, "DMS.10240018") {
		t.Errorf("creating a group again: %v", err)
	}
	ids := func() map[string]string {
		pages, err := groups.List(c, queue, true).AllPages()
		if err != nil {
			t.Fatal(err)
		}
		list, err := groups.ExtractGroups(pages)
		if err != nil {
			t.Fatal(err)
		}
		all := make(map[string]string)
		for _, g := range list {
			all[g.ID] = g.Name
		}
		return all
	}
	if diff := cmp.Diff(map[string]string{made[0].ID: "second", made[1].ID: "first"}, ids()); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	if err := groups.Delete(c, queue, made[0].ID).Err; err != nil {
		t.Fatal(err)
	}
	var gone golangsdk.ErrDefault404
	if err := groups.Delete(c, queue, made[0].ID).Err; !errors.As(err, &gone) {
		t.Errorf("deleting a group again: %v", err)
	}
	if diff := cmp.Diff(map[string]string{made[1].ID: "first"}, ids()); diff != "" {
		t.Errorf("groups after one was deleted (-want +got):\n%s", diff)
	}
}

// answered400 reports whether the service refused with status 400 and a code.
func answered400(err error, code string) bool {
	var bad golangsdk.ErrDefault400
	return errors.As(err, &bad) && strings.Contains(string(bad.Body), `"`+code+`"`)
}

func TestSignedRequestsCannotBeChanged(t *testing.T) {
	t.Parallel()
	owner := newCustomer(t)
	queue := owner.queue("")
	body := `{"messages":[{"body":"signed"}]}`
	signed := func() *http.Request {
		req, err := http.NewRequestWithContext(t.Context(), "POST",
			service.Env.Endpoint+owner.base+"/queues/"+queue+"/messages?x=1", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("User-Agent", "e2e")
		// Each with a key of its own, so that none is refused only because of the others.
		key := owner.accessKey(`"roles":["producer"]`)
		golangsdk.Sign(req, golangsdk.SignOptions{AccessKey: key.AccessKey, SecretKey: key.SecretKey})
		return req
	}
	unsigned := NewClient("", "", Transport{Base: http.DefaultTransport, Description: description})
	answer := func(req *http.Request) Answer {
		a, err := unsigned.Send(req)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := answer(signed()); a.Status != http.StatusCreated {
		t.Fatalf("the unchanged request: %v", a)
	}
	for what, change := range map[string]func(*http.Request){
		"body": func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader(strings.Replace(body, "signed", "forged", 1)))
		},
		"path":  func(r *http.Request) { r.URL.Path = strings.Replace(r.URL.Path, "/v2/", "/v1/", 1) },
		"query": func(r *http.Request) { r.URL.RawQuery = "x=2" },
		"header": func(r *http.Request) {
			r.Header.Set("User-Agent", "e2f")
		},
		"date": func(r *http.Request) {
			date := []byte(r.Header.Get("X-Sdk-Date"))
			date[len(date)-2] ^= 1 // the last digit of the second
			r.Header.Set("X-Sdk-Date", string(date))
		},
		"signature": func(r *http.Request) {
			auth := []byte(r.Header.Get("Authorization"))
			last := &auth[len(auth)-1]
			if *last == '0' {
				*last = '1'
			} else {
				*last = '0'
			}
			r.Header.Set("Authorization", string(auth))
		},
	} {
		req := signed()
		change(req)
		if a := answer(req); a.Status != http.StatusUnauthorized || errorCode(a) != "APIGW.0301" {
			t.Errorf("with another %s: %v, want 401 APIGW.0301", what, a)
		}
	}
	waitFor(t, func() (bool, string) {
		var q struct {
			Produced int `json:"produced_messages"`
		}
		owner.must(http.StatusOK, &q, "GET", "/queues/"+queue, "")
		return q.Produced == 1, "the queue does not hold exactly the one message that was signed"
	})
}
