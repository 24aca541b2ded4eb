package accounts_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"dms/deploy/engine/enginetest"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// victim is a project with a message that is out for delivery, and a bucket.
type victim struct {
	account string
	js      jetstream.JetStream
	message *nats.Msg // as delivered, with its acknowledgement subject
}

type state struct {
	Streams            []string
	Messages, LastSeq  uint64
	Consumers, Pending int
	Record             string
}

func newVictim(t *testing.T) victim {
	t.Helper()
	p, js := filled(t, cluster, "secret")
	account, err := cluster.Accounts().ID(p.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateConsumer(t.Context(), "q_1", jetstream.ConsumerConfig{
		Durable: "g_1", Replicas: 3, AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Hour,
	}); err != nil {
		t.Fatalf("create consumer: %v", err)
	}
	m := received(t, func() (*nats.Msg, error) {
		return js.Conn().Request("$JS.API.CONSUMER.MSG.NEXT.q_1.g_1", []byte("1"), 10*time.Second)
	})
	kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "ctl", Replicas: 3})
	if err != nil {
		t.Fatalf("create bucket: %v", err)
	}
	if _, err := kv.Create(t.Context(), "a", []byte("secret")); err != nil {
		t.Fatalf("create record: %v", err)
	}
	return victim{account: account, js: js, message: m}
}

func (v victim) state(t *testing.T) state {
	t.Helper()
	var out state
	for name := range v.js.StreamNames(t.Context()).Name() {
		out.Streams = append(out.Streams, name)
	}
	s, err := v.js.Stream(t.Context(), "q_1")
	if err != nil {
		t.Fatalf("look at the stream: %v", err)
	}
	info := s.CachedInfo()
	out.Messages, out.LastSeq, out.Consumers = info.State.Msgs, info.State.LastSeq, info.State.Consumers
	c, err := s.Consumer(t.Context(), "g_1")
	if err != nil {
		t.Fatalf("look at the consumer: %v", err)
	}
	out.Pending = c.CachedInfo().NumAckPending
	bucket, err := v.js.Stream(t.Context(), "KV_ctl")
	if err != nil {
		t.Fatalf("look at the bucket: %v", err)
	}
	record, err := bucket.GetLastMsgForSubject(t.Context(), "$KV.ctl.a")
	if err != nil {
		t.Fatalf("look at the record: %v", err)
	}
	out.Record = string(record.Data)
	return out
}

// requests is what the other project tries. None may have an effect or show anything.
func (v victim) requests() map[string]string {
	out := map[string]string{
		v.message.Reply: "+ACK", "q.1.a": "x", "n.1": "x", "$KV.ctl.a": "x", "dead.1.1.1": "x", "dly.1.1": "x", "due.1.1": "x",
		"$JS.API.STREAM.MSG.GET.q_1": `{"seq":1}`, "$JS.API.DIRECT.GET.q_1": `{"seq":1}`, "$JS.API.DIRECT.GET.q_1.q.1.a": "",
		"$JS.API.DIRECT.GET.KV_ctl.$KV.ctl.a": "", "$JS.API.CONSUMER.MSG.NEXT.q_1.g_1": "1",
		"$JS.API.STREAM.MSG.DELETE.q_1": `{"seq":1}`, "$JS.API.STREAM.UPDATE.q_1": `{"name":"q_1","subjects":["q.2.>"]}`,
		"$JS.API.STREAM.SNAPSHOT.q_1": `{"deliver_subject":"wake.1"}`, "$JS.API.STREAM.RESTORE.q_1": `{}`,
		"$JS.API.STREAM.PEER.REMOVE.q_1": `{"peer":"dms-1"}`, "$JS.API.CONSUMER.PAUSE.q_1.g_1": `{"pause_until":"2099-01-01T00:00:00Z"}`,
		"$JS.API.CONSUMER.UNPIN.q_1.g_1": `{"group":"g"}`, "$JS.API.CONSUMER.RESET.q_1.g_1": `{}`,
		"$JS.API.ACCOUNT.PURGE." + v.account: "", "$JS.API.ACCOUNT.STREAM.MOVE." + v.account + ".q_1": `{}`,
		"$JS.API.META.LEADER.STEPDOWN": "", "$JS.API.SERVER.REMOVE": `{"peer":"dms-3"}`, "$JS.API.SERVER.EVACUATE": `{"peer":"dms-3"}`,
		"$JS.API.STREAM.PEER.EVACUATE.q_1": `{"peer":"dms-3"}`, "$JS.API.META.RESCUE": `{"quorum_needed":1}`,
		"$SYS.REQ.CLAIMS.UPDATE": "x", "$SYS.REQ.CLAIMS.DELETE": "x", "$SYS.REQ.CLAIMS.LIST": "", "$SYS.REQ.CLAIMS.PACK": "",
		"$SYS.REQ.SERVER.PING": "", "$SYS.REQ.SERVER.PING.JSZ": `{"accounts":true}`, "$SYS.REQ.SERVER.PING.CONNZ": "",
		"$SYS.REQ.ACCOUNT." + v.account + ".JSZ": "", "$SYS.REQ.ACCOUNT." + v.account + ".CONNZ": "",
		"$SYS.REQ.ACCOUNT." + v.account + ".CLAIMS.LOOKUP": "", "$SYS.REQ.USER.INFO": "", "$SYS.ACCOUNT." + v.account + ".CONNECT": "x",
		"$NRG.R.x": "x", "_INBOX.n1.x": "x",
	}
	for _, verb := range []string{"INFO", "PURGE", "DELETE", "LEADER.STEPDOWN", "CANCEL_MOVE"} {
		out["$JS.API.STREAM."+verb+".q_1"] = ""
	}
	for _, verb := range []string{"INFO", "DELETE", "LEADER.STEPDOWN"} {
		out["$JS.API.CONSUMER."+verb+".q_1.g_1"] = ""
	}
	for _, verb := range []string{"NAMES", "LIST"} {
		out["$JS.API.STREAM."+verb] = ""
		out["$JS.API.CONSUMER."+verb+".q_1"] = ""
	}
	return out
}

// leaks tells what is wrong with an answer: only refusals and empty lists are right.
func leaks(m *nats.Msg) string {
	if status := m.Header.Get("Status"); strings.HasPrefix(status, "4") || strings.HasPrefix(status, "5") {
		return ""
	}
	var r struct {
		Error *struct {
			Code int `json:"code"`
		} `json:"error"`
		Total  *int            `json:"total"`
		Config json.RawMessage `json:"config"` // descriptions have a total, too
	}
	if err := json.Unmarshal(m.Data, &r); err != nil {
		return "an answer that is not a refusal"
	}
	if r.Error != nil && r.Error.Code >= 400 {
		return ""
	}
	if r.Total != nil && *r.Total == 0 && r.Config == nil {
		return ""
	}
	return "an answer that is not a refusal"
}

func TestAProjectCannotReachAnother(t *testing.T) {
	v := newVictim(t)
	before := v.state(t)
	for i := range 3 {
		intruder := cluster.ConnVia(t, i, enginetest.NewProject().ID)
		intruder.SetErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}) // refusals are expected
		var tries sync.WaitGroup
		for subject, body := range v.requests() {
			tries.Go(func() {
				m, err := intruder.Request(subject, []byte(body), 500*time.Millisecond)
				switch {
				case errors.Is(err, nats.ErrTimeout), errors.Is(err, nats.ErrNoResponders), errors.Is(err, nats.ErrPermissionViolation):
				case err != nil:
					t.Errorf("%s through member %d: %v", subject, i, err)
				case leaks(m) != "":
					t.Errorf("%s through member %d: %s: %s %v", subject, i, leaks(m), m.Data, m.Header)
				}
			})
		}
		tries.Wait()
	}
	if diff := cmp.Diff(before, v.state(t)); diff != "" {
		t.Errorf("the other project changed (-before +after):\n%s", diff)
	}
	// The owner is shown what the others are refused, so the table does ask for something.
	for _, subject := range []string{"$JS.API.STREAM.INFO.q_1", "$JS.API.STREAM.NAMES", "$JS.API.DIRECT.GET.q_1.q.1.a", "$JS.API.CONSUMER.INFO.q_1.g_1"} {
		m, err := v.js.Conn().Request(subject, nil, 10*time.Second)
		if err != nil || leaks(m) == "" {
			t.Errorf("%s as the owner: got %v, %v, want an answer", subject, m, err)
		}
	}
	if _, err := v.js.Conn().Request(v.message.Reply, []byte("+ACK"), 10*time.Second); err != nil {
		t.Errorf("acknowledge as the owner: %v", err)
	}
}

// subjects is every verb of the engine's API, in all forms in which a client could hope to
// reach the victim's account with it, and guesses at deliveries, inboxes and the system.
func (v victim) subjects() []string {
	var api []string
	streams := []string{"q_1", "KV_ctl", "audit", "dead", "delay", "nothing"}
	for _, s := range streams {
		for _, verb := range []string{"INFO", "UPDATE", "DELETE", "PURGE", "SNAPSHOT", "RESTORE", "LEADER.STEPDOWN", "PEER.REMOVE",
			"PEER.EVACUATE", "CANCEL_MOVE", "MSG.GET", "MSG.DELETE"} {
			api = append(api, "STREAM."+verb+"."+s)
		}
		for _, verb := range []string{"INFO", "DELETE", "LEADER.STEPDOWN", "MSG.NEXT", "PAUSE", "UNPIN", "RESET"} {
			for _, c := range []string{"g_1", "mover"} {
				api = append(api, "CONSUMER."+verb+"."+s+"."+c)
			}
		}
		api = append(api, "CONSUMER.NAMES."+s, "CONSUMER.LIST."+s, "DIRECT.GET."+s, "DIRECT.GET."+s+".q.1.a", "DIRECT.GET."+s+".$KV.ctl.a")
	}
	api = append(api, "STREAM.NAMES", "STREAM.LIST", "META.LEADER.STEPDOWN", "META.RESCUE", "SERVER.REMOVE", "SERVER.EVACUATE",
		"ACCOUNT.PURGE."+v.account, "ACCOUNT.STREAM.MOVE."+v.account+".q_1", "ACCOUNT.STREAM.CANCEL_MOVE."+v.account+".q_1")
	var all []string
	for _, verb := range api {
		for _, prefix := range []string{"$JS.API.", "$JS." + v.account + ".API.", "$JS.hub.API.", v.account + ".$JS.API.", "$JS.API." + v.account + ".",
			"_GR_." + v.account + ".$JS.API.", "$JSC.CI."} {
			all = append(all, prefix+verb)
		}
	}
	for seq := range 100 { // what a delivery of the victim's could have to be acknowledged on
		all = append(all, fmt.Sprintf("$JS.ACK.q_1.g_1.1.%d.%d.1700000000000000000.0", seq, seq),
			fmt.Sprintf("$JS.ACK._.%s.q_1.g_1.1.%d.%d.1700000000000000000.0.x", v.account[:8], seq, seq))
	}
	for _, s := range []string{"PING", "PING.JSZ", "PING.CONNZ", "PING.STATSZ", "PING.VARZ", "PING.SUBSZ", "PING.ROUTEZ", "PING.ACCOUNTZ", "PING.HEALTHZ",
		"PING.PROFILEZ", "PING.RAFTZ", "PING.EXPVARZ", "PING.IPQUEUESZ", "DMS.RELOAD", "DMS.LDM", "DMS.KICK"} {
		all = append(all, "$SYS.REQ.SERVER."+s)
	}
	for _, s := range []string{"JSZ", "CONNZ", "SUBSZ", "LEAFZ", "INFO", "STATZ", "CONNS", "CLAIMS.LOOKUP", "CLAIMS.UPDATE", "CLAIMS.DELETE", "NSUBS", "PING"} {
		all = append(all, "$SYS.REQ.ACCOUNT."+v.account+"."+s, "$SYS.ACCOUNT."+v.account+"."+s)
	}
	all = append(all, "$SYS.REQ.CLAIMS.UPDATE", "$SYS.REQ.CLAIMS.DELETE", "$SYS.REQ.CLAIMS.LIST", "$SYS.REQ.CLAIMS.PACK",
		"$NRG.P.S-R3F-x", "$NRG.V.S-R3F-x", "$NRG.AE.S-R3F-x", "$FC.x", "$G.q.1.a", v.account+".q.1.a", "q.1.a", "n.1", "audit",
		"$KV.ctl.a", "dead.1.1.1", "dly.1.1", "due.1.1", "wake.q.1", v.message.Reply)
	for _, node := range []string{"n1", "n2", "n3"} {
		all = append(all, "_INBOX."+node+".x", "_INBOX."+node)
	}
	return all
}

// TestThousandsOfGuessesReachNothing sends every guess from two accounts, plainly, as a
// request and with a header that asks for traces, and delivers none of them.
func TestThousandsOfGuessesReachNothing(t *testing.T) {
	v := newVictim(t)
	before := v.state(t)
	own, err := v.js.Conn().SubscribeSync("wake.>")
	if err != nil {
		t.Fatal(err)
	}
	inbox, err := v.js.Conn().SubscribeSync("_INBOX.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := v.js.Conn().Flush(); err != nil {
		t.Fatal(err)
	}
	guesses := 0
	for i := range 2 {
		intruder := cluster.ConnVia(t, i, enginetest.NewProject().ID)
		intruder.SetErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}) // refusals are expected
		prefix := intruder.NewInbox()
		answers, err := intruder.SubscribeSync(prefix + ".>")
		if err != nil {
			t.Fatal(err)
		}
		subjects := v.subjects()
		for n, subject := range subjects {
			for form, body := range []string{"", `{"seq":1,"batch":10}`, "+ACK"} {
				m := nats.NewMsg(subject)
				m.Data, m.Reply = []byte(body), fmt.Sprintf("%s.%d.%d", prefix, n, form)
				if form == 1 {
					m.Header.Set("Nats-Trace-Dest", fmt.Sprintf("%s.%d.trace", prefix, n))
				}
				if err := intruder.PublishMsg(m); err != nil {
					t.Fatalf("%s: %v", subject, err)
				}
				guesses++
			}
		}
		if err := intruder.FlushTimeout(time.Minute); err != nil {
			t.Fatal(err)
		}
		for { // until it has been quiet for a second; what comes is judged
			m, err := answers.NextMsg(time.Second)
			if err != nil {
				break
			}
			var n int
			if _, err := fmt.Sscanf(strings.TrimPrefix(m.Subject, prefix+"."), "%d.", &n); err != nil || strings.HasSuffix(m.Subject, ".trace") {
				// A trace tells of the intruder's own account only.
				if strings.Contains(string(m.Data), v.account) {
					t.Errorf("a trace names the other account: %s", m.Data)
				}
				continue
			}
			if problem := leaks(m); problem != "" {
				t.Errorf("%s: %s: %.300s %v", subjects[n], problem, m.Data, m.Header)
			}
		}
	}
	if guesses < 2*2000 {
		t.Errorf("only %d guesses were made", guesses)
	}
	for _, sub := range []*nats.Subscription{own, inbox} {
		for {
			m, err := sub.NextMsg(time.Millisecond)
			if err != nil {
				break
			}
			t.Errorf("the other project heard %s: %q", m.Subject, m.Data)
		}
	}
	if diff := cmp.Diff(before, v.state(t)); diff != "" {
		t.Errorf("the other project changed (-before +after):\n%s", diff)
	}
}

func TestASubscriptionHearsNothingOfAnotherProject(t *testing.T) {
	v := newVictim(t)
	intruder := cluster.Conn(t, enginetest.NewProject().ID)
	intruder.SetErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}) // refusals are expected
	cfg := queue()
	cfg.RePublish = &jetstream.RePublish{Source: "q.1.>", Destination: "wake.1.>"}
	if _, err := v.js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatalf("republish: %v", err)
	}
	own, err := v.js.Conn().SubscribeSync("wake.>")
	if err != nil {
		t.Fatal(err)
	}
	var subs []*nats.Subscription
	for _, subject := range []string{">", "*.>", "q.>", "n.>", "dead.>", "dly.>", "due.>", "wake.>", "_INBOX.>", "$JS.>",
		"$JS.EVENT.>", "$JS.ACK.>", "$KV.>", "$SYS.>", "$SYS.ACCOUNT.>", "$NRG.>", "$G.>"} {
		sub, err := intruder.SubscribeSync(subject)
		if err != nil {
			t.Fatalf("subscribe %s: %v", subject, err)
		}
		subs = append(subs, sub)
	}
	if err := intruder.Flush(); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if _, err := v.js.Publish(t.Context(), "q.1.a", []byte("secret"), patient()...); err != nil {
			t.Fatalf("publish: %v", err)
		}
	}
	if _, err := v.js.Conn().Request(v.message.Reply, []byte("+ACK"), 10*time.Second); err != nil {
		t.Fatalf("acknowledge: %v", err)
	}
	v.state(t)
	if err := v.js.Conn().Publish("dead.1.1.1", []byte("secret")); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if _, err := own.NextMsg(10 * time.Second); err != nil {
			t.Fatalf("hear the own messages: %v", err)
		}
	}
	if err := errors.Join(v.js.Conn().Flush(), intruder.Flush()); err != nil {
		t.Fatal(err)
	}
	for _, sub := range subs {
		for {
			m, err := sub.NextMsg(time.Millisecond)
			if err != nil {
				break
			}
			t.Errorf("%s heard %s: %q", sub.Subject, m.Subject, m.Data)
		}
	}
}

func TestCredentialsSignedWithAnotherProjectsKeysAreRefused(t *testing.T) {
	v, thief := enginetest.NewProject(), enginetest.NewProject()
	cluster.Conn(t, v.ID)
	cluster.Conn(t, thief.ID)
	options, err := cluster.Accounts().Forged(v.ID, thief.ID)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := cluster.Trio().Conn(0, options...)
	if err == nil {
		nc.Close()
	}
	if !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("got error %v, want %v", err, nats.ErrAuthorization)
	}
	own, err := cluster.Accounts().Forged(v.ID, v.ID)
	if err != nil {
		t.Fatal(err)
	}
	if nc, err = cluster.Trio().Conn(0, own...); err != nil {
		t.Fatalf("connect with the project's own keys: %v", err)
	}
	nc.Close()
}

func TestConnectionsWithoutCredentialsAreRefused(t *testing.T) {
	for i := range 3 {
		nc, err := cluster.Trio().Conn(i)
		if err == nil {
			nc.Close()
		}
		if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("member %d: got error %v, want %v", i, err, nats.ErrAuthorization)
		}
	}
}
