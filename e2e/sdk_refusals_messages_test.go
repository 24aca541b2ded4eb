package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/dms/v2/model"
)

func TestSDKIsToldWhatIsWrongWithMessages(t *testing.T) {
	inBothModes(t, func(t *testing.T, c sdk) {
		queue := c.queue(nil)
		send := func(messages ...model.SendMessageEntity) func() error {
			if messages == nil {
				messages = []model.SendMessageEntity{}
			}
			return func() error {
				_, err := c.SendMessages(&model.SendMessagesRequest{QueueId: queue, Body: &model.SendMessagesReq{Messages: messages}})
				return err
			}
		}
		with := func(set func(*model.SendMessageEntity)) model.SendMessageEntity {
			m := message("body")
			set(&m)
			return m
		}
		labels := func(labels any) model.SendMessageEntity {
			return with(func(m *model.SendMessageEntity) { m.Tags = &labels })
		}
		delay := func(ms any) model.SendMessageEntity {
			return with(func(m *model.SendMessageEntity) { m.DelayTime = &ms })
		}
		eleven := make([]model.SendMessageEntity, 11)
		for i := range eleven {
			eleven[i] = message("x")
		}
		c.expectRefusals([]refusal{
			{"no message", 400, "DMS.10540010", send()},
			{"eleven messages", 400, "DMS.10540010", send(eleven...)},
			{"no body", 400, "DMS.10540001", send(message("fine"), model.SendMessageEntity{})},
			{"attributes that are a list", 400, "DMS.10540001", send(with(func(m *model.SendMessageEntity) { m.Attributes = new(any([]any{"a"})) }))},
			{"four labels", 400, "DMS.10240004", send(labels([]string{"a", "b", "c", "d"}))},
			{"empty label", 400, "DMS.10240004", send(labels([]string{""}))},
			{"label of 65 characters", 400, "DMS.10240004", send(labels([]string{strings.Repeat("l", 65)}))},
			{"label with a comma", 400, "DMS.10240004", send(message("fine"), labels([]string{"a,b"}))},
			{"labels that are an object", 400, "DMS.10540001", send(labels(map[string]any{"a": "b"}))},
			{"negative delay", 400, "DMS.10540010", send(delay(-1))},
			{"delay of more than 7 days", 400, "DMS.10540010", send(delay(604800001))},
			{"too large a body", 400, "DMS.10540011", send(message(strings.Repeat("x", 524288)))},
			{"too large together", 400, "DMS.10540011", send(message(strings.Repeat("x", 300000)), message(strings.Repeat("x", 300000)))},
			{"too large with attributes", 400, "DMS.10540011", send(model.SendMessageEntity{
				Body: new(any(strings.Repeat("x", 524280))), Attributes: new(any(map[string]any{"a": "b"}))})},
		})
		if got := *c.listed(queue, false).ProducedMessages; got != 0 {
			t.Errorf("the queue holds %d messages of refused requests", got)
		}
	})
}

func TestSDKIsToldWhatIsWrongWithConsuming(t *testing.T) {
	inBothModes(t, func(t *testing.T, c sdk) {
		queue := c.queue(nil)
		group := c.groups(queue, "g")[0]
		consume := func(set func(*model.ConsumeMessagesRequest)) func() error {
			return func() error {
				req := &model.ConsumeMessagesRequest{QueueId: queue, ConsumerGroupId: group, TimeWait: new(int32(1))}
				set(req)
				_, err := c.ConsumeMessages(req)
				return err
			}
		}
		dead := func(set func(*model.ConsumeDeadlettersMessageRequest)) func() error {
			return func() error {
				req := &model.ConsumeDeadlettersMessageRequest{QueueId: queue, ConsumerGroupId: group, TimeWait: new(int32(1))}
				set(req)
				_, err := c.ConsumeDeadlettersMessage(req)
				return err
			}
		}
		type req = model.ConsumeMessagesRequest
		type deadReq = model.ConsumeDeadlettersMessageRequest
		c.expectRefusals([]refusal{
			{"no messages", 400, "DMS.10240014", consume(func(r *req) { r.MaxMsgs = new(int32(0)) })},
			{"eleven messages", 400, "DMS.10240014", consume(func(r *req) { r.MaxMsgs = new(int32(11)) })},
			{"no wait", 400, "DMS.10240021", consume(func(r *req) { r.TimeWait = new(int32(0)) })},
			{"wait of 61 s", 400, "DMS.10240021", consume(func(r *req) { r.TimeWait = new(int32(61)) })},
			{"ack_wait of 14 s", 400, "DMS.10542206", consume(func(r *req) { r.AckWait = new(int32(14)) })},
			{"ack_wait of 301 s", 400, "DMS.10542206", consume(func(r *req) { r.AckWait = new(int32(301)) })},
			{"four labels", 400, "DMS.10240004", consume(func(r *req) { r.Tag = new("a,b,c,d") })},
			{"label of 65 characters", 400, "DMS.10240004", consume(func(r *req) { r.Tag = new(strings.Repeat("l", 65)) })},
			{"label with a space", 400, "DMS.10240004", consume(func(r *req) { r.Tag = new("a b") })},
			{"unknown match of labels", 400, "DMS.10550035", consume(func(r *req) { r.Tag, r.TagType = new("a"), new("xor") })},
			{"no dead letters", 400, "DMS.10240014", dead(func(r *deadReq) { r.MaxMsgs = new(int32(0)) })},
			{"eleven dead letters", 400, "DMS.10240014", dead(func(r *deadReq) { r.MaxMsgs = new(int32(11)) })},
			{"no wait for dead letters", 400, "DMS.10240021", dead(func(r *deadReq) { r.TimeWait = new(int32(0)) })},
			{"ack_wait of 14 s for dead letters", 400, "DMS.10542206", dead(func(r *deadReq) { r.AckWait = new(int32(14)) })},
		})
	})
}

func TestSDKIsToldWhatIsWrongWithAnAcknowledgement(t *testing.T) {
	modes, enable := model.GetCreateQueueReqQueueModeEnum(), model.GetCreateQueueReqRedrivePolicyEnum().ENABLE
	inBothModes(t, func(t *testing.T, c sdk) {
		for _, mode := range []*model.CreateQueueReqQueueMode{&modes.NORMAL, &modes.FIFO} {
			what := mode.Value()
			create := func() string {
				return c.queue(func(r *model.CreateQueueReq) {
					r.QueueMode, r.RedrivePolicy, r.MaxConsumeCount = mode, &enable, new(int32(1))
				})
			}
			queue, other := create(), create()
			groups, otherGroup := c.groups(queue, "g", "h"), c.groups(other, "g")[0]
			group := groups[0]
			c.send(queue, message("dead"))
			failed := c.take(1, queue, group)[0].Handler
			if _, err := c.confirm(queue, group, model.ConfirmMessageEntity{Handler: failed, Status: status(t, "fail")}); err != nil {
				t.Fatal(err)
			}
			dead := c.takeDead(1, queue, group)[0].Handler
			c.send(queue, message("live"))
			live := c.take(1, queue, group)[0].Handler

			ack := func(queue, group, state string, handlers ...string) func() error {
				return func() error {
					var entries []model.ConfirmMessageEntity
					for _, h := range handlers {
						entries = append(entries, model.ConfirmMessageEntity{Handler: new(h), Status: status(t, state)})
					}
					_, err := c.confirm(queue, group, entries...)
					return err
				}
			}
			ackDead := func(queue, group, handler string) func() error {
				return func() error {
					_, err := c.confirmDead(queue, group, model.ConfirmMessageEntity{Handler: &handler})
					return err
				}
			}
			changed := []byte(*live)
			changed[len(changed)/2] ^= 1 // another character of the same alphabet, or one that is none
			c.expectRefusals([]refusal{
				{what + ": unknown status", 400, "DMS.10540003", ack(queue, group, "maybe", *live)},
				{what + ": handler of another group", 400, "DMS.10540004", ack(queue, groups[1], "success", *live)},
				{what + ": handler of another queue", 400, "DMS.10540004", ack(other, otherGroup, "success", *live)},
				{what + ": dead letter of another group", 400, "DMS.10540004", ackDead(queue, groups[1], *dead)},
				{what + ": handler of a dead letter as one of a message", 400, "DMS.10542205", ack(queue, group, "success", *dead)},
				{what + ": handler of a message as one of a dead letter", 400, "DMS.10542205", ackDead(queue, group, *live)},
				{what + ": handler that is none", 400, "DMS.10542209", ack(queue, group, "success", "handler")},
				{what + ": handler that is none, of a dead letter", 400, "DMS.10542209", ackDead(queue, group, "handler")},
				{what + ": changed handler", 400, "DMS.10542209", ack(queue, group, "success", string(changed))},
				{what + ": longer handler", 400, "DMS.10542209", ack(queue, group, "success", *live+"A")},
				{what + ": shorter handler", 400, "DMS.10542209", ack(queue, group, "success", (*live)[:len(*live)-1])},
				{what + ": handler that failed before", 400, "DMS.10542209", ack(queue, group, "success", *failed)},
				{what + ": good handler beside a bad one", 400, "DMS.10542209", ack(queue, group, "success", *live, "handler")},
			})
			// Refused requests had no effect, and a lost answer can be asked for again.
			for range 2 {
				got, err := c.confirm(queue, group, model.ConfirmMessageEntity{Handler: live, Status: status(t, "success")})
				if err != nil || got != [2]int32{1, 0} {
					t.Errorf("%s: acknowledging after refusals: %v, %v", what, got, err)
				}
				got, err = c.confirmDead(queue, group, model.ConfirmMessageEntity{Handler: dead, Status: status(t, "success")})
				if err != nil || got != [2]int32{1, 0} {
					t.Errorf("%s: acknowledging a dead letter after refusals: %v, %v", what, got, err)
				}
			}
			c.expectCounters(queue, group, [5]int32{2, 2, 0, 1, 0})
		}
	})
}

func TestSDKIsToldWhatIsWrongWithTags(t *testing.T) {
	actions := model.GetBatchCreateOrDeleteTagReqActionEnum()
	inBothModes(t, func(t *testing.T, c sdk) {
		queue := c.queue(nil)
		change := func(action *model.BatchCreateOrDeleteTagReqAction, pairs ...string) func() error {
			var tags []model.BatchCreateOrDeleteTagReqTags
			for i := 0; i+1 < len(pairs); i += 2 {
				tags = append(tags, model.BatchCreateOrDeleteTagReqTags{Key: &pairs[i], Value: &pairs[i+1]})
			}
			return func() error {
				_, err := c.BatchCreateOrDeleteQueueTag(&model.BatchCreateOrDeleteQueueTagRequest{QueueId: queue,
					Body: &model.BatchCreateOrDeleteTagReq{Action: action, Tags: &tags}})
				return err
			}
		}
		var ten []string
		for i := range 10 {
			ten = append(ten, fmt.Sprintf("k%d", i), "v")
		}
		all := []refusal{
			{"empty key", 400, "DMS.10240035", change(&actions.CREATE, "", "v")},
			{"key of 37 characters", 400, "DMS.10240035", change(&actions.CREATE, strings.Repeat("é", 37), "v")},
			{"value of 44 characters", 400, "DMS.10240038", change(&actions.CREATE, "k", strings.Repeat("é", 44))},
			{"key with a line break", 400, "DMS.10240036", change(&actions.CREATE, "a\nb", "v")},
			{"value with a line break", 400, "DMS.10240039", change(&actions.CREATE, "k", "a\nb")},
			{"unknown action", 400, "DMS.10240040", change(foreignEnum[model.BatchCreateOrDeleteTagReqAction](t, "replace"), "k", "v")},
			{"no action", 400, "DMS.10240040", change(nil, "k", "v")},
			{"key given twice", 400, "DMS.10240045", change(&actions.CREATE, "k", "v", "k", "w")},
			{"eleven tags", 400, "DMS.10240044", change(&actions.CREATE, append(ten[:20:20], "k10", "v")...)},
		}
		for _, char := range `=*<>\,|/` {
			all = append(all,
				refusal{fmt.Sprintf("key with %c", char), 400, "DMS.10240036", change(&actions.CREATE, "k"+string(char), "v")},
				refusal{fmt.Sprintf("value with %c", char), 400, "DMS.10240039", change(&actions.CREATE, "k", string(char)+"v")})
		}
		c.expectRefusals(all)
		if err := change(&actions.CREATE, ten...)(); err != nil {
			t.Fatal(err)
		}
		c.expectRefusals([]refusal{{"eleventh tag", 400, "DMS.10240044", change(&actions.CREATE, "another", "v")}})
		got, err := c.ShowQueueTags(&model.ShowQueueTagsRequest{QueueId: queue})
		if err != nil || len(*got.Tags) != 10 {
			t.Errorf("after all this the tags are %v, %v", got, err)
		}
	})
}
