package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/dms/v2/model"
)

func TestSDKReadsQueuesBackAsTheyWereCreated(t *testing.T) {
	modes, policies := model.GetCreateQueueReqQueueModeEnum(), model.GetCreateQueueReqRedrivePolicyEnum()
	inBothModes(t, func(t *testing.T, c sdk) {
		for _, tt := range []struct {
			req        model.CreateQueueReq
			mode       string
			policy     string
			maxConsume *int32
		}{
			{model.CreateQueueReq{}, "NORMAL", "disable", nil},
			{model.CreateQueueReq{QueueMode: &modes.NORMAL, RedrivePolicy: &policies.DISABLE}, "NORMAL", "disable", nil},
			{model.CreateQueueReq{QueueMode: &modes.FIFO, Description: new("")}, "FIFO", "disable", nil},
			{model.CreateQueueReq{QueueMode: &modes.FIFO, Description: new("ünï & \"quoted\"\n"), RedrivePolicy: &policies.ENABLE, MaxConsumeCount: new(int32(100))}, "FIFO", "enable", new(int32(100))},
			{model.CreateQueueReq{Description: new(strings.Repeat("é", 160)), RedrivePolicy: &policies.ENABLE, MaxConsumeCount: new(int32(1))}, "NORMAL", "enable", new(int32(1))},
		} {
			before := time.Now().Truncate(time.Second)
			tt.req.Name = strings.Repeat("x", 64-20) + fmt.Sprintf("%020d", time.Now().UnixNano())
			id := c.queue(func(r *model.CreateQueueReq) { *r = tt.req })
			plain, err := c.ShowQueue(&model.ShowQueueRequest{QueueId: id})
			if err != nil {
				t.Fatal(err)
			}
			full, err := c.ShowQueue(&model.ShowQueueRequest{QueueId: id, IncludeDeadletter: new(true)})
			if err != nil {
				t.Fatal(err)
			}
			if got := *full.Created; got%1000 != 0 || got < before.UnixMilli() || got > time.Now().UnixMilli() || got != *full.EffDate {
				t.Errorf("created is %d, eff_date %d, want the second of now in milliseconds", got, *full.EffDate)
			}
			if full.QueueMode == nil || full.QueueMode.Value() != tt.mode {
				t.Errorf("queue_mode is %v, want %s", full.QueueMode, tt.mode)
			}
			if full.RedrivePolicy == nil || full.RedrivePolicy.Value() != tt.policy {
				t.Errorf("redrive_policy is %v, want %s", full.RedrivePolicy, tt.policy)
			}
			if plain.RedrivePolicy != nil || plain.MaxConsumeCount != nil {
				t.Errorf("what is about dead letters is told though not asked for: %v", plain)
			}
			want := model.ListQueuesRespQueues{
				Id: &id, Name: &tt.req.Name, Description: tt.req.Description, Created: full.Created, EffDate: full.Created,
				QueueMode: &tt.mode, Reservation: new(int32(4320)), MaxMsgSizeByte: new(int32(524288)),
				ProducedMessages: new(int32(0)), GroupCount: new(int32(0)),
				RedrivePolicy: &tt.policy, MaxConsumeCount: tt.maxConsume,
			}
			shown := model.ListQueuesRespQueues{
				Id: full.Id, Name: full.Name, Description: full.Description, Created: full.Created, EffDate: full.EffDate,
				QueueMode: &tt.mode, Reservation: full.Reservation, MaxMsgSizeByte: full.MaxMsgSizeByte,
				ProducedMessages: full.ProducedMessages, GroupCount: full.GroupCount,
				RedrivePolicy: &tt.policy, MaxConsumeCount: full.MaxConsumeCount,
			}
			if diff := cmp.Diff(want, shown); diff != "" {
				t.Errorf("the queue is shown otherwise (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(want, c.listed(id, true)); diff != "" {
				t.Errorf("the queue is listed otherwise (-want +got):\n%s", diff)
			}
			want.RedrivePolicy, want.MaxConsumeCount = nil, nil
			if diff := cmp.Diff(want, c.listed(id, false)); diff != "" {
				t.Errorf("the queue is listed otherwise without dead letters (-want +got):\n%s", diff)
			}
		}
	})
}

// listed returns a queue as it stands in the list of all.
func (c sdk) listed(id string, deadLetters bool) model.ListQueuesRespQueues {
	c.t.Helper()
	list, err := c.ListQueues(&model.ListQueuesRequest{IncludeDeadletter: &deadLetters})
	if err != nil {
		c.t.Fatal(err)
	}
	if int(*list.Total) != len(*list.Queues) {
		c.t.Errorf("total is %d, %d queues are listed", *list.Total, len(*list.Queues))
	}
	i := slices.IndexFunc(*list.Queues, func(q model.ListQueuesRespQueues) bool { return *q.Id == id })
	if i < 0 {
		c.t.Fatalf("queue %s is not listed", id)
	}
	return (*list.Queues)[i]
}

func TestSDKManagesGroups(t *testing.T) {
	inBothModes(t, func(t *testing.T, c sdk) {
		enable := model.GetCreateQueueReqRedrivePolicyEnum().ENABLE
		queue := c.queue(func(r *model.CreateQueueReq) { r.RedrivePolicy, r.MaxConsumeCount = &enable, new(int32(3)) })
		names := []string{"zeta", "alpha", strings.Repeat("g", 32)}
		ids := c.groups(queue, names...)
		for _, id := range ids {
			if !strings.HasPrefix(id, "g-") {
				t.Errorf("the group ID %s does not start with g-", id)
			}
		}
		list := func(size, page int32) []string {
			got, err := c.ListConsumerGroups(&model.ListConsumerGroupsRequest{QueueId: queue,
				IncludeDeadletter: new(true), IncludeMessagesNum: new(false), PageSize: &size, CurrentPage: &page})
			if err != nil {
				t.Fatal(err)
			}
			if *got.QueueId != queue || got.RedrivePolicy == nil || got.RedrivePolicy.Value() != "enable" {
				t.Errorf("the groups are listed of %v", got)
			}
			var all []string
			for _, g := range *got.Groups {
				all = append(all, *g.Name)
				if *g.ProducedMessages != 0 || *g.ConsumedMessages != 0 || *g.AvailableMessages != 0 ||
					*g.ProducedDeadletters != 0 || *g.AvailableDeadletters != 0 {
					t.Errorf("an unused group has the counters %v", g)
				}
			}
			return all
		}
		all := list(10, 1)
		if diff := cmp.Diff(slices.Sorted(slices.Values(names)), slices.Sorted(slices.Values(all))); diff != "" {
			t.Errorf("groups (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(all, append(list(2, 1), list(2, 2)...)); diff != "" {
			t.Errorf("groups page by page (-whole +pages):\n%s", diff)
		}
		if past := list(2, 3); len(past) != 0 {
			t.Errorf("the page after the last has %v", past)
		}
		if got := *c.listed(queue, false).GroupCount; got != 3 {
			t.Errorf("group_count is %d, want 3", got)
		}
		remove := &model.DeleteSpecifiedConsumerGroupRequest{QueueId: queue, GroupId: ids[0]}
		if _, err := c.DeleteSpecifiedConsumerGroup(remove); err != nil {
			t.Fatal(err)
		}
		if _, err := c.DeleteSpecifiedConsumerGroup(remove); !isRefusal(err, 404, "DMS.10240405") {
			t.Errorf("deleting a group again: %v", err)
		}
		if got := c.groups(queue, names[0]); got[0] == ids[0] {
			t.Errorf("a new group of an old name has the old ID %s", ids[0])
		}
	})
}

func TestSDKDeletesAQueueOnce(t *testing.T) {
	inBothModes(t, func(t *testing.T, c sdk) {
		queue := c.queue(nil)
		c.groups(queue, "g")
		c.send(queue, message("lost"))
		remove := &model.DeleteQueueRequest{QueueId: queue}
		if _, err := c.DeleteQueue(remove); err != nil {
			t.Fatal(err)
		}
		if _, err := c.DeleteQueue(remove); !isRefusal(err, 404, "DMS.10240401") {
			t.Errorf("deleting a queue again: %v", err)
		}
	})
}

func TestSDKSeesItsUseOfTheQuota(t *testing.T) {
	inBothModes(t, func(t *testing.T, c sdk) {
		c.queue(nil)
		got, err := c.ShowQuotas(&model.ShowQuotasRequest{})
		if err != nil {
			t.Fatal(err)
		}
		r := *got.Quotas.Resources
		if len(r) != 1 || *r[0].Type != "queue" || *r[0].Quota != 30 || *r[0].Min != 0 || *r[0].Max != 500 || *r[0].Used < 1 {
			t.Errorf("the quotas are %v", r)
		}
	})
}

func TestSDKChangesTagsOfQueues(t *testing.T) {
	actions := model.GetBatchCreateOrDeleteTagReqActionEnum()
	inBothModes(t, func(t *testing.T, c sdk) {
		queue := c.queue(nil)
		// The keys of the project's tags are shared with all other tests.
		key := fmt.Sprintf("k%d", time.Now().UnixNano())
		change := func(a model.BatchCreateOrDeleteTagReqAction, tags ...model.BatchCreateOrDeleteTagReqTags) {
			t.Helper()
			_, err := c.BatchCreateOrDeleteQueueTag(&model.BatchCreateOrDeleteQueueTagRequest{QueueId: queue,
				Body: &model.BatchCreateOrDeleteTagReq{Action: &a, Tags: &tags}})
			if err != nil {
				t.Fatal(err)
			}
		}
		tag := func(key, value string) model.BatchCreateOrDeleteTagReqTags {
			return model.BatchCreateOrDeleteTagReqTags{Key: &key, Value: &value}
		}
		expect := func(want ...model.BatchCreateOrDeleteTagReqTags) {
			t.Helper()
			got, err := c.ShowQueueTags(&model.ShowQueueTagsRequest{QueueId: queue})
			if err != nil {
				t.Fatal(err)
			}
			byKey := func(a, b model.BatchCreateOrDeleteTagReqTags) int { return strings.Compare(*a.Key, *b.Key) }
			slices.SortFunc(*got.Tags, byKey)
			slices.SortFunc(want, byKey)
			if len(want)+len(*got.Tags) > 0 && !cmp.Equal(want, *got.Tags) {
				t.Errorf("tags (-want +got):\n%s", cmp.Diff(want, *got.Tags))
			}
		}
		long, longValue := strings.Repeat("ключ", 9), strings.Repeat("世", 43)
		change(actions.CREATE, tag(key, "v1"), tag("empty", ""), tag(long, longValue))
		expect(tag(key, "v1"), tag("empty", ""), tag(long, longValue))
		change(actions.CREATE, tag(key, "v2")) // replaces
		expect(tag(key, "v2"), tag("empty", ""), tag(long, longValue))

		other := c.queue(nil)
		first := queue
		queue = other
		change(actions.CREATE, tag(key, "v1"))
		queue = first
		project, err := c.ShowQueueProjectTags(&model.ShowQueueProjectTagsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(*project.Tags, func(t model.ShowProjectTagsRespTags) bool { return *t.Key == key })
		if i < 0 {
			t.Fatalf("the project's tags lack %s", key)
		}
		if got := slices.Sorted(slices.Values(*(*project.Tags)[i].Values)); !slices.Equal(got, []string{"v1", "v2"}) {
			t.Errorf("the project's values of %s are %v", key, got)
		}

		change(actions.DELETE, tag(key, "other value"), tag("absent", "")) // neither is there
		expect(tag(key, "v2"), tag("empty", ""), tag(long, longValue))
		change(actions.DELETE, tag(key, "v2"), model.BatchCreateOrDeleteTagReqTags{Key: &long})
		expect(tag("empty", ""))
	})
}
