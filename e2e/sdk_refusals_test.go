package e2e

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/dms/v2/model"
)

// Well-formed IDs of nothing.
const (
	noQueue = "00000000-0000-4000-8000-000000000000"
	noGroup = "g-00000000-0000-4000-8000-000000000000"
	noKey   = "AAAAAAAAAAAAAAAAAAAA"
	noAlarm = "00000000000000000000000000000000"
)

// refusal is a call that the service has to refuse.
type refusal struct {
	what   string
	status int
	code   string
	call   func() error
}

func (c sdk) expectRefusals(all []refusal) {
	c.t.Helper()
	for _, r := range all {
		if err := r.call(); !isRefusal(err, r.status, r.code) {
			c.t.Errorf("%s: the client reports %v, want %d %s", r.what, err, r.status, r.code)
		}
	}
}

func TestSDKIsToldWhatIsWrongWithAQueue(t *testing.T) {
	modes, policies := model.GetCreateQueueReqQueueModeEnum(), model.GetCreateQueueReqRedrivePolicyEnum()
	inBothModes(t, func(t *testing.T, c sdk) {
		create := func(set func(*model.CreateQueueReq)) func() error {
			return func() error {
				req := &model.CreateQueueReq{Name: name(t)}
				set(req)
				made, err := c.CreateQueue(&model.CreateQueueRequest{Body: req})
				if err == nil {
					c.DeleteQueue(&model.DeleteQueueRequest{QueueId: *made.Id})
				}
				return err
			}
		}
		taken := name(t)
		c.queue(func(r *model.CreateQueueReq) { r.Name = taken })
		c.expectRefusals([]refusal{
			{"no name", 400, "DMS.10240011", create(func(r *model.CreateQueueReq) { r.Name = "" })},
			{"name of 65 characters", 400, "DMS.10240011", create(func(r *model.CreateQueueReq) { r.Name = strings.Repeat("q", 65) })},
			{"name with a dot", 400, "DMS.10240007", create(func(r *model.CreateQueueReq) { r.Name = "a.b" })},
			{"name with a space", 400, "DMS.10240007", create(func(r *model.CreateQueueReq) { r.Name = "a b" })},
			{"name with a letter that is not ASCII", 400, "DMS.10240007", create(func(r *model.CreateQueueReq) { r.Name = "é" })},
			{"name that is taken", 400, "DMS.10240017", create(func(r *model.CreateQueueReq) { r.Name = taken })},
			{"name that is taken in the other mode", 400, "DMS.10240017", create(func(r *model.CreateQueueReq) { r.Name, r.QueueMode = taken, &modes.FIFO })},
			{"Kafka queue", 400, "DMS.10240009", create(func(r *model.CreateQueueReq) { r.QueueMode = &modes.KAFKA_HA })},
			{"fast Kafka queue", 400, "DMS.10240009", create(func(r *model.CreateQueueReq) { r.QueueMode = &modes.KAFKA_HT })},
			{"unknown mode", 400, "DMS.10240009", create(func(r *model.CreateQueueReq) {
				r.QueueMode = foreignEnum[model.CreateQueueReqQueueMode](t, "fifo")
			})},
			{"unknown redrive policy", 400, "DMS.10240009", create(func(r *model.CreateQueueReq) {
				r.RedrivePolicy = foreignEnum[model.CreateQueueReqRedrivePolicy](t, "Enable")
			})},
			{"description of 161 characters", 400, "DMS.10240013", create(func(r *model.CreateQueueReq) { r.Description = new(strings.Repeat("é", 161)) })},
			{"description with <", 400, "DMS.10240010", create(func(r *model.CreateQueueReq) { r.Description = new("a<b") })},
			{"description with >", 400, "DMS.10240010", create(func(r *model.CreateQueueReq) { r.Description = new("a>b") })},
			{"dead letters without a count", 400, "DMS.10240022", create(func(r *model.CreateQueueReq) { r.RedrivePolicy = &policies.ENABLE })},
			{"dead letters after no failure", 400, "DMS.10240022", create(func(r *model.CreateQueueReq) { r.RedrivePolicy, r.MaxConsumeCount = &policies.ENABLE, new(int32(0)) })},
			{"dead letters after a negative number of failures", 400, "DMS.10240022", create(func(r *model.CreateQueueReq) { r.RedrivePolicy, r.MaxConsumeCount = &policies.ENABLE, new(int32(-1)) })},
			{"dead letters after 101 failures", 400, "DMS.10240022", create(func(r *model.CreateQueueReq) { r.RedrivePolicy, r.MaxConsumeCount = &policies.ENABLE, new(int32(101)) })},
			{"retention of a standard queue", 400, "DMS.10240028", create(func(r *model.CreateQueueReq) { r.RetentionHours = new(int32(72)) })},
			{"retention of a FIFO queue", 400, "DMS.10240028", create(func(r *model.CreateQueueReq) { r.QueueMode, r.RetentionHours = &modes.FIFO, new(int32(1)) })},
		})
	})
}

func TestSDKIsToldWhatIsWrongWithAGroup(t *testing.T) {
	inBothModes(t, func(t *testing.T, c sdk) {
		queue := c.queue(nil)
		create := func(names ...string) func() error {
			return func() error {
				req := &model.CreateConsumerGroupReq{Groups: []model.GroupEntity{}}
				for _, n := range names {
					req.Groups = append(req.Groups, model.GroupEntity{Name: n})
				}
				_, err := c.CreateConsumerGroup(&model.CreateConsumerGroupRequest{QueueId: queue, Body: req})
				return err
			}
		}
		c.groups(queue, "taken")
		c.expectRefusals([]refusal{
			{"no group", 400, "DMS.10240009", create()},
			{"no name", 400, "DMS.10240012", create("")},
			{"name of 33 characters", 400, "DMS.10240012", create(strings.Repeat("g", 33))},
			{"name with a dot", 400, "DMS.10240007", create("a.b")},
			{"name with a star", 400, "DMS.10240007", create("*")},
			{"name that is taken", 400, "DMS.10240018", create("fresh", "taken")},
			{"name that is given twice", 400, "DMS.10240018", create("twin", "twin")},
			{"four groups", 400, "DMS.10240019", create("a", "b", "c", "d")},
			{"three groups beside one", 400, "DMS.10240019", create("a", "b", "c")},
		})
		// None of the requests may have created a part of its groups.
		if got := *c.listed(queue, false).GroupCount; got != 1 {
			t.Errorf("there are %d groups after refused requests, want 1", got)
		}
		c.groups(queue, "a", "b")
		c.expectRefusals([]refusal{{"a fourth group", 400, "DMS.10240019", create("c")}})
	})
}

func TestSDKIsToldThatIDsAreBadOrUnknown(t *testing.T) {
	inBothModes(t, func(t *testing.T, c sdk) {
		queue := c.queue(nil)
		other := c.queue(nil)
		foreign := c.groups(other, "g")[0]
		messages := []model.SendMessageEntity{message("x")}
		entries := []model.ConfirmMessageEntity{{Handler: new("h")}}
		tags := []model.BatchCreateOrDeleteTagReqTags{{Key: new("k"), Value: new("v")}}
		var all []refusal
		for _, id := range []struct {
			queue, code string
			status      int
		}{{noQueue, "DMS.10240401", 404}, {"not-an-id", "DMS.10240015", 400}, {strings.ToUpper("abcdefab-0000-4000-8000-000000000000"), "DMS.10240015", 400}} {
			for what, call := range map[string]func() error{
				"ShowQueue": func() error { _, err := c.ShowQueue(&model.ShowQueueRequest{QueueId: id.queue}); return err },
				"DeleteQueue": func() error {
					_, err := c.DeleteQueue(&model.DeleteQueueRequest{QueueId: id.queue})
					return err
				},
				"CreateConsumerGroup": func() error {
					_, err := c.CreateConsumerGroup(&model.CreateConsumerGroupRequest{QueueId: id.queue, Body: &model.CreateConsumerGroupReq{Groups: []model.GroupEntity{{Name: "g"}}}})
					return err
				},
				"ListConsumerGroups": func() error {
					_, err := c.ListConsumerGroups(&model.ListConsumerGroupsRequest{QueueId: id.queue})
					return err
				},
				"DeleteSpecifiedConsumerGroup": func() error {
					_, err := c.DeleteSpecifiedConsumerGroup(&model.DeleteSpecifiedConsumerGroupRequest{QueueId: id.queue, GroupId: noGroup})
					return err
				},
				"SendMessages": func() error {
					_, err := c.SendMessages(&model.SendMessagesRequest{QueueId: id.queue, Body: &model.SendMessagesReq{Messages: messages}})
					return err
				},
				"ConsumeMessages": func() error {
					_, err := c.ConsumeMessages(&model.ConsumeMessagesRequest{QueueId: id.queue, ConsumerGroupId: noGroup, TimeWait: new(int32(1))})
					return err
				},
				"ShowQueueTags": func() error {
					_, err := c.ShowQueueTags(&model.ShowQueueTagsRequest{QueueId: id.queue})
					return err
				},
				"BatchCreateOrDeleteQueueTag": func() error {
					_, err := c.BatchCreateOrDeleteQueueTag(&model.BatchCreateOrDeleteQueueTagRequest{QueueId: id.queue,
						Body: &model.BatchCreateOrDeleteTagReq{Action: new(model.GetBatchCreateOrDeleteTagReqActionEnum().CREATE), Tags: &tags}})
					return err
				},
			} {
				all = append(all, refusal{fmt.Sprintf("%s with queue %s", what, id.queue), id.status, id.code, call})
			}
		}
		for _, id := range []struct {
			group, code string
			status      int
		}{{noGroup, "DMS.10240405", 404}, {foreign, "DMS.10240405", 404}, {strings.TrimPrefix(noGroup, "g-"), "DMS.10240016", 400}, {"g-1", "DMS.10240016", 400}} {
			for what, call := range map[string]func() error{
				"DeleteSpecifiedConsumerGroup": func() error {
					_, err := c.DeleteSpecifiedConsumerGroup(&model.DeleteSpecifiedConsumerGroupRequest{QueueId: queue, GroupId: id.group})
					return err
				},
				"ConsumeMessages": func() error {
					_, err := c.ConsumeMessages(&model.ConsumeMessagesRequest{QueueId: queue, ConsumerGroupId: id.group, TimeWait: new(int32(1))})
					return err
				},
				"ConsumeDeadlettersMessage": func() error {
					_, err := c.ConsumeDeadlettersMessage(&model.ConsumeDeadlettersMessageRequest{QueueId: queue, ConsumerGroupId: id.group, TimeWait: new(int32(1))})
					return err
				},
			} {
				all = append(all, refusal{fmt.Sprintf("%s with group %s", what, id.group), id.status, id.code, call})
			}
		}
		c.expectRefusals(all)
		for what, confirm := range map[string]func(string, string, ...model.ConfirmMessageEntity) ([2]int32, error){
			"ConfirmConsumptionMessages": c.confirm, "ConfirmDeadLettersMessages": c.confirmDead,
		} {
			// Of a handler that is none and a group that is none, either may be reported.
			if got, err := confirm(queue, noGroup, entries...); !isRefusal(err, 404, "DMS.10240405") && !isRefusal(err, 400, "DMS.10542209") {
				t.Errorf("%s in no group: %v, %v", what, got, err)
			}
		}
		c.groups(other, "still-there-is-room")
	})
}

func TestSDKCannotExceedTheQuotaOfQueues(t *testing.T) {
	t.Parallel()
	own := ownService(t, t.TempDir())
	c := newSDK(t, own.Env.Endpoint, byAccessKey(own.Env.Projects[0]))
	create := func() (string, error) {
		made, err := c.CreateQueue(&model.CreateQueueRequest{Body: &model.CreateQueueReq{Name: name(t)}})
		if err != nil {
			return "", err
		}
		return *made.Id, nil
	}
	var ids []string
	for range 30 {
		id, err := create()
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	list, err := c.ListQueues(&model.ListQueuesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	// Queues of the same second have no order that a customer could know.
	newestFirst := func(a, b model.ListQueuesRespQueues) int { return cmp.Compare(*b.Created, *a.Created) }
	if len(*list.Queues) != len(ids) || !slices.IsSortedFunc(*list.Queues, newestFirst) {
		t.Errorf("%d queues are listed in this order: %v", len(*list.Queues), *list.Queues)
	}
	if id, err := create(); !isRefusal(err, 400, "DMS.10240020") {
		t.Fatalf("the queue %s beyond the quota: %v", id, err)
	}
	if _, err := c.DeleteQueue(&model.DeleteQueueRequest{QueueId: ids[7]}); err != nil {
		t.Fatal(err)
	}
	if _, err := create(); err != nil {
		t.Errorf("a queue in place of a deleted one: %v", err)
	}
	if got := c.used(); got != 30 {
		t.Errorf("%d queues are in use, want 30", got)
	}
}

// used returns how much of the quota of queues is in use.
func (c sdk) used() int32 {
	c.t.Helper()
	got, err := c.ShowQuotas(&model.ShowQuotasRequest{})
	if err != nil {
		c.t.Fatal(err)
	}
	return *(*got.Quotas.Resources)[0].Used
}
