package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/basic"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/sdkerr"
	dms "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/dms/v2"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/dms/v2/model"
)

// sdk is the vendor's client, unmodified, for one project.
type sdk struct {
	*dms.DmsClient
	t *testing.T
}

// newSDK returns a client for the service at the endpoint.
func newSDK(t *testing.T, endpoint string, credential *basic.Credentials) sdk {
	t.Helper()
	return sdk{t: t, DmsClient: dms.NewDmsClient(
		dms.DmsClientBuilder().WithEndpoints([]string{endpoint}).WithCredential(credential).Build())}
}

// byAccessKey signs requests.
func byAccessKey(p Project) *basic.Credentials {
	return basic.NewCredentialsBuilder().WithAk(p.AccessKey).WithSk(p.SecretKey).WithProjectId(p.ID).Build()
}

// byIDToken exchanges the ID token in a file for a token of the service.
func byIDToken(env Env, p Project, file string) *basic.Credentials {
	return basic.NewCredentialsBuilder().WithIdpId(env.ProviderID).WithIdTokenFile(file).
		WithProjectId(p.ID).WithIamEndpointOverride(env.Endpoint).Build()
}

// inBothModes runs a test with each of the two ways to sign in, side by side.
func inBothModes(t *testing.T, run func(t *testing.T, c sdk)) {
	t.Helper()
	t.Parallel()
	env := service.Env
	t.Run("access key", func(t *testing.T) {
		t.Parallel()
		run(t, newSDK(t, env.Endpoint, byAccessKey(env.Projects[0])))
	})
	t.Run("identity token", func(t *testing.T) {
		t.Parallel()
		run(t, newSDK(t, env.Endpoint, byIDToken(env, env.Projects[0], env.IDTokenFile)))
	})
}

// queue creates a queue that is deleted when the test ends; set changes the request.
func (c sdk) queue(set func(*model.CreateQueueReq)) string {
	c.t.Helper()
	req := &model.CreateQueueReq{Name: name(c.t)}
	if set != nil {
		set(req)
	}
	made, err := c.CreateQueue(&model.CreateQueueRequest{Body: req})
	if err != nil {
		c.t.Fatal(err)
	}
	id := *made.Id
	c.t.Cleanup(func() {
		_, err := c.DeleteQueue(&model.DeleteQueueRequest{QueueId: id})
		if err != nil && !isRefusal(err, 404, "DMS.10240401") {
			c.t.Errorf("clean up queue %s: %v", id, err)
		}
	})
	return id
}

// groups creates consumer groups and returns their IDs in the order of the names.
func (c sdk) groups(queue string, names ...string) []string {
	c.t.Helper()
	req := &model.CreateConsumerGroupReq{}
	for _, n := range names {
		req.Groups = append(req.Groups, model.GroupEntity{Name: n})
	}
	made, err := c.CreateConsumerGroup(&model.CreateConsumerGroupRequest{QueueId: queue, Body: req})
	if err != nil {
		c.t.Fatal(err)
	}
	if len(*made.Groups) != len(names) {
		c.t.Fatalf("%d groups were made of %v", len(*made.Groups), names)
	}
	var ids []string
	for i, g := range *made.Groups {
		if *g.Name != names[i] {
			c.t.Fatalf("group %d is %s, want %s", i, *g.Name, names[i])
		}
		ids = append(ids, *g.Id)
	}
	return ids
}

// send sends messages and returns their IDs.
func (c sdk) send(queue string, messages ...model.SendMessageEntity) []string {
	c.t.Helper()
	sent, err := c.SendMessages(&model.SendMessagesRequest{QueueId: queue,
		Body: &model.SendMessagesReq{ReturnId: new(true), Messages: messages}})
	if err != nil {
		c.t.Fatal(err)
	}
	if len(*sent.Messages) != len(messages) {
		c.t.Fatalf("%d messages were sent, %d answered", len(messages), len(*sent.Messages))
	}
	var ids []string
	for i, m := range *sent.Messages {
		if *m.State != 0 || m.Error != nil || m.ErrorCode != nil || m.Id == nil || *m.Id == "" {
			c.t.Fatalf("message %d was answered as %+v", i, m)
		}
		ids = append(ids, *m.Id)
	}
	return ids
}

// message makes a message with a body.
func message(body any) model.SendMessageEntity {
	return model.SendMessageEntity{Body: new(body)}
}

// take consumes until n messages have come.
func (c sdk) take(n int, queue, group string) []model.ConsumeMessage {
	c.t.Helper()
	var all []model.ConsumeMessage
	waitFor(c.t, func() (bool, string) {
		got, err := c.ConsumeMessages(&model.ConsumeMessagesRequest{QueueId: queue, ConsumerGroupId: group, TimeWait: new(int32(2))})
		if err != nil {
			c.t.Fatal(err)
		}
		all = append(all, *got.Body...)
		return len(all) >= n, fmt.Sprintf("%d of %d messages came", len(all), n)
	})
	return all
}

// takeDead consumes dead letters until n have come.
func (c sdk) takeDead(n int, queue, group string) []model.ConsumeDeadlettersMessage {
	c.t.Helper()
	var all []model.ConsumeDeadlettersMessage
	waitFor(c.t, func() (bool, string) {
		got, err := c.ConsumeDeadlettersMessage(&model.ConsumeDeadlettersMessageRequest{
			QueueId: queue, ConsumerGroupId: group, TimeWait: new(int32(2)), AckWait: new(int32(15)), MaxMsgs: new(int32(5))})
		if err != nil {
			c.t.Fatal(err)
		}
		all = append(all, *got.Body...)
		return len(all) >= n, fmt.Sprintf("%d of %d dead letters came", len(all), n)
	})
	return all
}

// status makes any status, also one that the client's own list does not have.
func status(t *testing.T, text string) *model.ConfirmMessageEntityStatus {
	t.Helper()
	return foreignEnum[model.ConfirmMessageEntityStatus](t, text)
}

// foreignEnum makes a value that the client's own list does not have.
func foreignEnum[T any](t *testing.T, text string) *T {
	t.Helper()
	v := new(T)
	if err := json.Unmarshal([]byte(`"`+text+`"`), v); err != nil {
		t.Fatal(err)
	}
	return v
}

// confirm acknowledges; it returns success and fail of the answer.
func (c sdk) confirm(queue, group string, entries ...model.ConfirmMessageEntity) ([2]int32, error) {
	got, err := c.ConfirmConsumptionMessages(&model.ConfirmConsumptionMessagesRequest{
		QueueId: queue, ConsumerGroupId: group, Body: &model.ConfirmConsumptionMessagesReq{Message: &entries}})
	if err != nil {
		return [2]int32{}, err
	}
	return [2]int32{*got.Success, *got.Fail}, nil
}

// confirmDead acknowledges dead letters.
func (c sdk) confirmDead(queue, group string, entries ...model.ConfirmMessageEntity) ([2]int32, error) {
	got, err := c.ConfirmDeadLettersMessages(&model.ConfirmDeadLettersMessagesRequest{
		QueueId: queue, ConsumerGroupId: group, Body: &model.ConfirmDeadLettersMessagesReq{Message: &entries}})
	if err != nil {
		return [2]int32{}, err
	}
	return [2]int32{*got.Success, *got.Fail}, nil
}

// isRefusal reports whether the client understood an error of the service as it should:
// with its status, its code, a sentence and the ID of the request.
func isRefusal(err error, status int, code string) bool {
	e, ok := errors.AsType[*sdkerr.ServiceResponseError](err)
	return ok && e.StatusCode == status && e.ErrorCode == code && e.RequestId != "" &&
		e.ErrorMessage != "" && !strings.HasPrefix(e.ErrorMessage, "{")
}
