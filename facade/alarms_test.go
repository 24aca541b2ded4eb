package facade_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"dms/facade"
	"dms/mapping/dms"
	"dms/monitor/alarm"
	"dms/monitor/history"
	"dms/monitor/sample"
	"dms/monitor/watch"
	"dms/tenancy"

	"github.com/google/go-cmp/cmp"
)

const alarmID = "00112233445566778899aabbccddeeff"

// monitoring is what stands behind metrics and alarms: one rule, whose state is given.
type monitoring struct {
	rule  alarm.Rule
	state alarm.State
	query history.Query
	calls []string
	muted time.Time
	err   error
}

func (m *monitoring) note(name string) error { m.calls = append(m.calls, name); return m.err }

func (m *monitoring) Alarms(context.Context, tenancy.ProjectID) ([]alarm.Rule, []alarm.State, error) {
	return []alarm.Rule{m.rule}, []alarm.State{m.state}, m.note("Alarms")
}

func (m *monitoring) Alarm(_ context.Context, _ tenancy.ProjectID, id alarm.ID) (alarm.Rule, alarm.State, error) {
	if id != alarmID {
		return alarm.Rule{}, alarm.State{}, &dms.Error{Code: dms.AlarmNotFound}
	}
	return m.rule, m.state, m.note("Alarm")
}

func (m *monitoring) CreateAlarm(_ context.Context, _ tenancy.ProjectID, r alarm.Rule) (alarm.Rule, error) {
	m.rule = r
	m.rule.ID = alarmID
	return m.rule, m.note("CreateAlarm")
}

func (m *monitoring) ReplaceAlarm(_ context.Context, _ tenancy.ProjectID, _ alarm.ID, r alarm.Rule) (alarm.Rule, error) {
	return m.CreateAlarm(context.Background(), "", r)
}

func (m *monitoring) DeleteAlarm(context.Context, tenancy.ProjectID, alarm.ID) error {
	return m.note("DeleteAlarm")
}

func (m *monitoring) MuteAlarm(_ context.Context, _ tenancy.ProjectID, _ alarm.ID, until time.Time) (alarm.Rule, error) {
	m.muted, m.rule.MutedUntil = until, until
	return m.rule, m.note("MuteAlarm")
}

func (m *monitoring) TestAlarm(context.Context, tenancy.ProjectID, alarm.ID) ([]watch.Delivery, error) {
	return []watch.Delivery{{Notice: "test.1", Webhook: "https://example.com/", Attempt: 1, Error: "no connection could be made"}}, m.note("TestAlarm")
}

func (m *monitoring) History(context.Context, tenancy.ProjectID, alarm.ID) ([]watch.Happening, error) {
	v := 11.0
	return []watch.Happening{
		{At: time.UnixMilli(2000), Delivery: &watch.Delivery{Notice: "n", Webhook: "https://example.com/", Attempt: 2}},
		{At: time.UnixMilli(1000), Change: &alarm.Change{Key: sample.Key{Queue: queueID, Group: groupID}, From: alarm.Pending, To: alarm.Firing, Value: &v}},
	}, m.note("History")
}

func (m *monitoring) Query(_ context.Context, _ tenancy.ProjectID, q history.Query, _ time.Time) ([]history.Series, error) {
	m.query = q
	v := 4.5
	return []history.Series{{Metric: q.Metrics[0], Key: sample.Key{Queue: queueID, Group: groupID}, Points: []*float64{&v, nil}}}, m.note("Query")
}

func monitored(t *testing.T, m *monitoring) *service {
	t.Helper()
	return serve(t, &fake{}, func(o *facade.Options, _ *http.Server) {
		o.Alarms, o.Metrics = m, m
		o.Now = func() time.Time { return time.UnixMilli(1_800_000_000_000) }
	})
}

const someAlarm = `{"name":"backlog","metric":"available_messages","comparison":">","threshold":100,"for_seconds":600,
	"resolve_threshold":50,"queue_id":"` + queueID + `","webhooks":[{"url":"https://example.com/","secret":"0123456789abcdef"}]}`

func TestAlarmsAreMadeShownAndChanged(t *testing.T) {
	m := &monitoring{}
	s := monitored(t, m)
	made := s.do(http.MethodPost, base+"/alarms", someAlarm)
	if made.status != http.StatusCreated || strings.Contains(made.body, "0123456789abcdef") {
		t.Fatalf("create: %d %s", made.status, made.body)
	}
	half := 50.0
	want := alarm.Rule{
		ID: alarmID, Name: "backlog", Metric: "available_messages", Comparison: alarm.Above, Threshold: 100, For: 10 * time.Minute,
		Resolve: &half, Queue: queueID, Severity: alarm.Major,
		Webhooks: []alarm.Webhook{{URL: "https://example.com/", Secret: "0123456789abcdef"}},
	}
	if diff := cmp.Diff(want, m.rule); diff != "" {
		t.Errorf("rule (-want +got):\n%s", diff)
	}
	if got := s.do(http.MethodPut, base+"/alarms/"+alarmID, `{"name":"x","metric":"queued_messages","comparison":"<","threshold":1.5,"severity":"info","enabled":false,"description":null}`); got.status != http.StatusOK {
		t.Errorf("change: %d %s", got.status, got.body)
	}
	if !m.rule.Disabled || m.rule.Threshold != 1.5 || m.rule.Severity != alarm.Info {
		t.Errorf("the changed rule is %+v", m.rule)
	}
	for _, c := range []struct {
		method, path, body string
		status             int
		has                string
	}{
		{http.MethodGet, "", "", 200, `"total":1`},
		{http.MethodGet, "?format=json", "", 200, `"total":1`},
		{http.MethodGet, "/" + alarmID, "", 200, `"status":"disabled"`},
		{http.MethodPost, "/" + alarmID + "/mute", `{"seconds":60}`, 200, `"muted_until":1800000060000`},
		{http.MethodPost, "/" + alarmID + "/test", "", 200, `"success":false`},
		{http.MethodGet, "/" + alarmID + "/history", "", 200, `"to":"firing"`},
		{http.MethodDelete, "/" + alarmID, "", 204, ""},
		{http.MethodGet, "/" + strings.Repeat("0", 32), "", 404, "DMS.10240441"},
		{http.MethodGet, "/x", "", 404, "DMS.10240441"},
		{http.MethodGet, "?format=xml", "", 400, "format must be"},
		{http.MethodPost, "/" + alarmID + "/mute", `{"seconds":-1}`, 400, "seconds must be"},
		{http.MethodPost, "/" + alarmID + "/mute", `{}`, 400, "seconds must be"},
		{http.MethodPost, "/" + alarmID + "/mute", `{"until":1}`, 400, "until"},
	} {
		got := s.do(c.method, base+"/alarms"+c.path, c.body)
		if got.status != c.status || !strings.Contains(got.body, c.has) {
			t.Errorf("%s %s: %d %s, want %d with %s", c.method, c.path, got.status, got.body, c.status, c.has)
		}
	}
	if want := time.UnixMilli(1_800_000_060_000); !m.muted.Equal(want) {
		t.Errorf("muted until %v, want %v", m.muted, want)
	}
}

func TestAlarmsShowWhatIsWrong(t *testing.T) {
	v := 11.0
	m := &monitoring{rule: alarm.Rule{ID: alarmID, Severity: alarm.Critical}, state: alarm.State{Targets: map[string]alarm.Target{
		"a": {Key: sample.Key{Queue: queueID, Group: groupID}, QueueName: "orders", GroupName: "billing", Status: alarm.Firing, Since: time.UnixMilli(5), Value: &v},
		"b": {Key: sample.Key{Queue: queueID}, Status: alarm.Pending, NoData: time.UnixMilli(7)},
		"c": {Key: sample.Key{Queue: queueID}, Status: alarm.OK, Told: alarm.Firing},
	}}}
	s := monitored(t, m)
	got := s.do(http.MethodGet, base+"/alarms/"+alarmID, "").body
	for _, part := range []string{
		`"status":"firing","targets":[`, `"group_name":"billing","status":"firing","since":5,"no_data_since":null,"value":11}`, `"no_data_since":7`,
	} {
		if !strings.Contains(got, part) {
			t.Errorf("%s is not in %s", part, got)
		}
	}
	if strings.Count(got, `"since":`) != 2 {
		t.Errorf("targets that are fine are shown: %s", got)
	}
	m.rule.MutedUntil = time.UnixMilli(1_900_000_000_000)
	if got := s.do(http.MethodGet, base+"/alarms/"+alarmID, "").body; !strings.Contains(got, `"status":"muted"`) {
		t.Errorf("a muted alarm is %s", got)
	}
}

func TestBadAlarmsAreRefusedByField(t *testing.T) {
	s := monitored(t, &monitoring{})
	for field, body := range map[string]string{
		"threshold is missing":       `{"name":"x"}`,
		"threshold must":             `{"threshold":"high"}`,
		"for_seconds must":           `{"threshold":1,"for_seconds":-1}`,
		"resolve_for_seconds must":   `{"threshold":1,"resolve_for_seconds":90000}`,
		"queue ID":                   `{"threshold":1,"queue_id":"x"}`,
		"group ID":                   `{"threshold":1,"group_id":"x"}`,
		"webhooks must":              `{"threshold":1,"webhooks":{}}`,
		"webhooks must have at most": `{"threshold":1,"webhooks":[{},{},{},{}]}`,
		"enabled must":               `{"threshold":1,"enabled":"yes"}`,
		"colour":                     `{"threshold":1,"colour":"red"}`,
	} {
		got := s.do(http.MethodPost, base+"/alarms", body)
		if got.status != http.StatusBadRequest || !strings.Contains(got.body, field) {
			t.Errorf("%s: %d %s, want a refusal that says %q", body, got.status, got.body, field)
		}
	}
}

func TestAlarmsCanBeTakenToPrometheus(t *testing.T) {
	s := monitored(t, &monitoring{rule: alarm.Rule{ID: alarmID, Name: "backlog", Metric: "available_messages", Comparison: alarm.Above, Threshold: 3}})
	got := s.do(http.MethodGet, base+"/alarms?format=prometheus", "")
	if got.status != http.StatusOK || got.header.Get("Content-Type") != "application/yaml" || !strings.Contains(got.body, "dms_group_messages_available{project=") {
		t.Errorf("%d %v\n%s", got.status, got.header, got.body)
	}
}

func TestWhoMayDoWhatWithAlarms(t *testing.T) {
	for role, may := range map[string][2]bool{"viewer": {true, false}, "producer": {true, false}, "consumer": {true, false}, "manager": {true, true}, "operator": {false, false}} {
		s := monitored(t, &monitoring{rule: alarm.Rule{ID: alarmID, Severity: alarm.Info}})
		for i, c := range []struct{ method, path, body string }{
			{http.MethodGet, "/alarms", ""}, {http.MethodGet, "/metrics", ""}, {http.MethodGet, "/alarms/" + alarmID + "/history", ""},
			{http.MethodPost, "/alarms", someAlarm}, {http.MethodPut, "/alarms/" + alarmID, someAlarm}, {http.MethodDelete, "/alarms/" + alarmID, ""},
			{http.MethodPost, "/alarms/" + alarmID + "/mute", `{"seconds":1}`}, {http.MethodPost, "/alarms/" + alarmID + "/test", ""},
		} {
			changes := 0
			if i > 2 {
				changes = 1
			}
			got := s.do(c.method, base+c.path, c.body, "X-Auth-Token", role)
			if ok := got.status < 300; ok != may[changes] || !ok && got.status != http.StatusForbidden {
				t.Errorf("%s %s as %s: %d, want allowed %v", c.method, c.path, role, got.status, may[changes])
			}
		}
		if got := s.do(http.MethodGet, base+"/alarms", "", "X-Auth-Token", "stranger"); got.status != http.StatusUnauthorized {
			t.Errorf("a stranger gets %d", got.status)
		}
	}
}

func TestMetricsAreListedAndAsked(t *testing.T) {
	m := &monitoring{}
	s := monitored(t, m)
	if got := s.do(http.MethodGet, base+"/metrics", ""); got.status != http.StatusOK || !strings.Contains(got.body, `"id":"oldest_message_age","level":"group"`) {
		t.Errorf("the list is %d %s", got.status, got.body)
	}
	got := s.do(http.MethodGet, base+"/metrics?metric=available_messages,queued_messages&queue="+queueID+"&group="+groupID+"&from=1799999980000&step=10", "")
	const want = `{"from":1799999980000,"to":1800000000000,"step":10,"series":[{"metric":"available_messages","unit":"count","queue_id":"` + queueID +
		`","group_id":"` + groupID + `","points":[{"timestamp":1799999980000,"value":4.5},{"timestamp":1799999990000,"value":null}]}]}`
	if got.status != http.StatusOK || got.body != want {
		t.Errorf("%d %s, want %s", got.status, got.body, want)
	}
	if len(m.query.Metrics) != 2 || m.query.Key != (sample.Key{Queue: queueID, Group: groupID}) {
		t.Errorf("asked %+v", m.query)
	}
	if got := s.do(http.MethodGet, base+"/metrics?metric=available_messages", ""); got.status != 200 || m.query.Step != 30*time.Second || m.query.To.Sub(m.query.From) != time.Hour {
		t.Errorf("by default %v in steps of %v are asked for (%d)", m.query.To.Sub(m.query.From), m.query.Step, got.status)
	}
	for query, says := range map[string]string{
		"metric=nonsense":                                                      "metric",
		"metric=queued_messages&step=0":                                        "step",
		"metric=queued_messages&step=x":                                        "step",
		"metric=queued_messages&step=1":                                        "step",
		"metric=queued_messages&from=x":                                        "from",
		"metric=queued_messages&to=-1":                                         "to",
		"metric=queued_messages&to=1":                                          "",
		"metric=queued_messages&from=0":                                        "72 hours",
		"metric=queued_messages&queue=x":                                       "queue ID",
		"metric=queued_messages&group=x":                                       "group ID",
		"metric=queued_messages&step=5&step=":                                  "step",
		"metric=" + strings.Repeat("queued_messages,", 11) + "queued_messages": "metric",
		"metric=queued_messages&from=" + strconv.Itoa(1_800_000_000_001):       "from",
	} {
		if got := s.do(http.MethodGet, base+"/metrics?"+query, ""); says == "" && got.status != 200 || says != "" && (got.status != http.StatusBadRequest || !strings.Contains(got.body, says)) {
			t.Errorf("%s: %d %s, want a refusal that says %q", query, got.status, got.body, says)
		}
	}
	m.err = errors.New("secret detail")
	if got := s.do(http.MethodGet, base+"/metrics?metric=queued_messages", ""); got.status != http.StatusServiceUnavailable || strings.Contains(got.body, "secret") {
		t.Errorf("a failing store answers %d %s", got.status, got.body)
	}
}

func TestServicesWithoutMonitoringHaveNoAlarms(t *testing.T) {
	s := serve(t, &fake{}, nil)
	for _, c := range [][2]string{{http.MethodGet, "/alarms"}, {http.MethodGet, "/metrics"}, {http.MethodPost, "/alarms"}, {http.MethodDelete, "/alarms/" + alarmID}} {
		if got := s.do(c[0], base+c[1], someAlarm); got.status != http.StatusNotFound || got.code() != "DMS.10240406" {
			t.Errorf("%s %s: %d %s", c[0], c[1], got.status, got.body)
		}
	}
}
