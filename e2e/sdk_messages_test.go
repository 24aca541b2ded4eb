package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/dms/v2/model"
)

func TestSDKConsumesWhatItSent(t *testing.T) {
	modes := model.GetCreateQueueReqQueueModeEnum()
	inBothModes(t, func(t *testing.T, c sdk) {
		queue := c.queue(func(r *model.CreateQueueReq) { r.QueueMode = &modes.FIFO })
		group := c.groups(queue, "g")[0]
		object := map[string]any{"foo": "test02", "nested": map[string]any{"list": []any{1.0, nil, true, "x"}}}
		sent := []model.SendMessageEntity{
			{Body: new(any("hello <b>&\u2028 ünï")), Attributes: new(any(map[string]any{"a": " v ", "n": 1.5, "": ""})), Tags: new(any([]string{"t1", "t-2_"}))},
			{Body: new(any(object)), DelayTime: new(any(0))},
			{Body: new(any([]any{1.0, "two"}))},
			{Body: new(any(12.25)), Attributes: new(any(map[string]any{}))},
			{Body: new(any(false))},
			{Body: new(any(""))},
		}
		ids := c.send(queue, sent...)
		if distinct := slices.Compact(slices.Sorted(slices.Values(ids))); len(distinct) != len(sent) {
			t.Errorf("the IDs of %d messages are %v", len(sent), ids)
		}
		got := c.take(len(sent), queue, group)
		if len(got) != len(sent) {
			t.Fatalf("%d messages were sent, %d came", len(sent), len(got))
		}
		for i, m := range got {
			if m.Handler == nil || *m.Handler == "" {
				t.Errorf("message %d has no handler", i)
			}
			want := model.ConsumeMessageMessage{Body: sent[i].Body, Attributes: sent[i].Attributes}
			if sent[i].Tags != nil {
				want.Tags = new((*sent[i].Tags).([]string))
			}
			if diff := cmp.Diff(want, *m.Message); diff != "" {
				t.Errorf("message %d (-sent +consumed):\n%s", i, diff)
			}
		}
	})
}

func TestSDKSurvivesEmptyConsume(t *testing.T) {
	inBothModes(t, func(t *testing.T, c sdk) {
		queue := c.queue(nil)
		group := c.groups(queue, "g")[0]
		live, err := c.ConsumeMessages(&model.ConsumeMessagesRequest{QueueId: queue, ConsumerGroupId: group, TimeWait: new(int32(1))})
		if err != nil || live.Body == nil || len(*live.Body) != 0 {
			t.Errorf("consuming from an empty queue: %v, %v", live, err)
		}
		dead, err := c.ConsumeDeadlettersMessage(&model.ConsumeDeadlettersMessageRequest{QueueId: queue, ConsumerGroupId: group, TimeWait: new(int32(1))})
		if err != nil || dead.Body == nil || len(*dead.Body) != 0 {
			t.Errorf("consuming dead letters of a queue that has none: %v, %v", dead, err)
		}
		if got, err := c.confirm(queue, group, []model.ConfirmMessageEntity{}...); err != nil || got != [2]int32{} {
			t.Errorf("acknowledging nothing: %v, %v", got, err)
		}
	})
}

func TestSDKAcknowledgesUpToTheFirstFailure(t *testing.T) {
	inBothModes(t, func(t *testing.T, c sdk) {
		queue := c.queue(nil)
		group := c.groups(queue, "g")[0]
		c.send(queue, message("0"), message("1"), message("2"))
		got := c.take(3, queue, group)
		result, err := c.confirm(queue, group,
			model.ConfirmMessageEntity{Handler: got[0].Handler}, // without a status: success
			model.ConfirmMessageEntity{Handler: got[1].Handler, Status: status(t, "fail")},
			model.ConfirmMessageEntity{Handler: got[2].Handler, Status: status(t, "success")})
		if err != nil || result != [2]int32{1, 2} {
			t.Fatalf("success and fail are %v, want 1 and 2; %v", result, err)
		}
		// Of a batch, a queue that is not FIFO promises no order of what comes again.
		var again []string
		for _, m := range c.take(2, queue, group) {
			again = append(again, (*m.Message.Body).(string))
			if _, err := c.confirm(queue, group, model.ConfirmMessageEntity{Handler: m.Handler, Status: status(t, "success")}); err != nil {
				t.Fatal(err)
			}
		}
		var want []string
		for _, m := range got[1:] {
			want = append(want, (*m.Message.Body).(string))
		}
		slices.Sort(again)
		slices.Sort(want)
		if !slices.Equal(want, again) {
			t.Errorf("%v came again, want %v", again, want)
		}
		c.expectCounters(queue, group, [5]int32{3, 3, 0, 0, 0})
	})
}

// expectCounters waits for the counters of a group at rest: produced, consumed and
// available messages, produced and available dead letters.
func (c sdk) expectCounters(queue, group string, want [5]int32) {
	c.t.Helper()
	waitFor(c.t, func() (bool, string) {
		got, err := c.ListConsumerGroups(&model.ListConsumerGroupsRequest{QueueId: queue, IncludeDeadletter: new(true), IncludeMessagesNum: new(true)})
		if err != nil {
			c.t.Fatal(err)
		}
		for _, g := range *got.Groups {
			if *g.Id == group {
				is := [5]int32{*g.ProducedMessages, *g.ConsumedMessages, *g.AvailableMessages, *g.ProducedDeadletters, *g.AvailableDeadletters}
				return is == want, fmt.Sprintf("the counters are %v, want %v", is, want)
			}
		}
		return false, "the group is not listed"
	})
}

func TestSDKCountsWhatIsWaitingAndConsumed(t *testing.T) {
	modes := model.GetCreateQueueReqQueueModeEnum()
	inBothModes(t, func(t *testing.T, c sdk) {
		for _, mode := range []*model.CreateQueueReqQueueMode{&modes.NORMAL, &modes.FIFO} {
			queue := c.queue(func(r *model.CreateQueueReq) { r.QueueMode = mode })
			groups := c.groups(queue, "reader", "idle")
			c.send(queue, message("1"), message("2"), message("3"), message("4"))
			for i, g := range groups {
				c.expectCounters(queue, g, [5]int32{4, 0, 4, 0, 0})
				if i > 0 {
					continue
				}
				for _, m := range c.take(4, queue, g)[:3] {
					if _, err := c.confirm(queue, g, model.ConfirmMessageEntity{Handler: m.Handler, Status: status(t, "success")}); err != nil {
						t.Fatal(err)
					}
				}
				c.expectCounters(queue, g, [5]int32{4, 3, 1, 0, 0})
			}
			if got := *c.listed(queue, false).ProducedMessages; got != 4 {
				t.Errorf("produced_messages of the queue is %d, want 4", got)
			}
		}
	})
}

func TestSDKFindsDeadLettersAfterTheLastFailure(t *testing.T) {
	modes, enable := model.GetCreateQueueReqQueueModeEnum(), model.GetCreateQueueReqRedrivePolicyEnum().ENABLE
	inBothModes(t, func(t *testing.T, c sdk) {
		for _, mode := range []*model.CreateQueueReqQueueMode{&modes.NORMAL, &modes.FIFO} {
			queue := c.queue(func(r *model.CreateQueueReq) {
				r.QueueMode, r.RedrivePolicy, r.MaxConsumeCount = mode, &enable, new(int32(2))
			})
			group := c.groups(queue, "g")[0]
			sent := model.SendMessageEntity{Body: new(any(map[string]any{"bad": true})), Attributes: new(any(map[string]any{"k": "v"})), Tags: new(any([]string{"label"}))}
			c.send(queue, sent)
			for range 2 {
				m := c.take(1, queue, group)[0]
				if _, err := c.confirm(queue, group, model.ConfirmMessageEntity{Handler: m.Handler, Status: status(t, "fail")}); err != nil {
					t.Fatal(err)
				}
			}
			// It is with the dead letters now, and nowhere else.
			dead := c.takeDead(1, queue, group)
			if diff := cmp.Diff(model.ConsumeDeadlettersMessageMessage{Body: sent.Body, Attributes: sent.Attributes}, *dead[0].Message); diff != "" {
				t.Errorf("the dead letter (-sent +consumed):\n%s", diff)
			}
			live, err := c.ConsumeMessages(&model.ConsumeMessagesRequest{QueueId: queue, ConsumerGroupId: group, TimeWait: new(int32(1))})
			if err != nil || len(*live.Body) != 0 {
				t.Errorf("the message came again after its last failure: %v, %v", live, err)
			}
			c.expectCounters(queue, group, [5]int32{1, 1, 0, 1, 1})
			if got, err := c.confirmDead(queue, group, model.ConfirmMessageEntity{Handler: dead[0].Handler, Status: status(t, "fail")}); err != nil || got != [2]int32{0, 1} {
				t.Fatalf("failing a dead letter: %v, %v", got, err)
			}
			again := c.takeDead(1, queue, group)
			if got, err := c.confirmDead(queue, group, model.ConfirmMessageEntity{Handler: again[0].Handler, Status: status(t, "success")}); err != nil || got != [2]int32{1, 0} {
				t.Fatalf("acknowledging a dead letter: %v, %v", got, err)
			}
			c.expectCounters(queue, group, [5]int32{1, 1, 0, 1, 0})
		}
	})
}

func TestSDKDoesNotSeeDelayedMessagesEarly(t *testing.T) {
	modes := model.GetCreateQueueReqQueueModeEnum()
	inBothModes(t, func(t *testing.T, c sdk) {
		for _, mode := range []*model.CreateQueueReqQueueMode{&modes.NORMAL, &modes.FIFO} {
			queue := c.queue(func(r *model.CreateQueueReq) { r.QueueMode = mode })
			group := c.groups(queue, "g")[0]
			started := time.Now()
			c.send(queue,
				model.SendMessageEntity{Body: new(any("late")), DelayTime: new(any(2500.9)), Attributes: new(any(map[string]any{"a": "b"}))},
				message("now"))
			var order []string
			for range 2 {
				// A FIFO group gets nothing more before it has acknowledged.
				for _, m := range c.take(1, queue, group) {
					order = append(order, (*m.Message.Body).(string))
					if _, err := c.confirm(queue, group, model.ConfirmMessageEntity{Handler: m.Handler, Status: status(t, "success")}); err != nil {
						t.Fatal(err)
					}
				}
			}
			if passed := time.Since(started); passed < 2500*time.Millisecond {
				t.Errorf("a message with a delay of 2.5 s came after %v", passed)
			}
			if !slices.Equal(order, []string{"now", "late"}) {
				t.Errorf("the messages came as %v", order)
			}
		}
	})
}

func TestSDKFiltersByLabels(t *testing.T) {
	inBothModes(t, func(t *testing.T, c sdk) {
		queue := c.queue(nil)
		groups := c.groups(queue, "any", "all", "everything")
		labelled := func(body string, labels ...string) model.SendMessageEntity {
			return model.SendMessageEntity{Body: new(any(body)), Tags: new(any(labels))}
		}
		c.send(queue, labelled("red", "red"), message("plain"), labelled("both", "blue", "red"), labelled("green", "green"), labelled("blue", "blue"))
		for i, want := range [][]string{{"blue", "both", "red"}, {"both"}, {"blue", "both", "green", "plain", "red"}} {
			req := &model.ConsumeMessagesRequest{QueueId: queue, ConsumerGroupId: groups[i], TimeWait: new(int32(1)), MaxMsgs: new(int32(10)), AckWait: new(int32(30))}
			if i < 2 {
				req.Tag, req.TagType = new("red,blue"), new([]string{"or", "and"}[i])
			}
			var got []string
			waitFor(t, func() (bool, string) {
				batch, err := c.ConsumeMessages(req)
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range *batch.Body {
					got = append(got, (*m.Message.Body).(string))
				}
				// One more call after the last message tells that no other follows.
				return len(*batch.Body) == 0 && len(got) >= len(want), fmt.Sprintf("%v came", got)
			})
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("group %d got %v, want %v", i, got, want)
			}
		}
		_, err := c.ConsumeMessages(&model.ConsumeMessagesRequest{QueueId: queue, ConsumerGroupId: groups[0], Tag: new("green"), TimeWait: new(int32(1))})
		if !isRefusal(err, 400, "DMS.10542204") {
			t.Errorf("changing the labels of a group: %v", err)
		}
	})
}
