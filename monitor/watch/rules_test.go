package watch

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"dms/mapping/dms"
	"dms/monitor/alarm"
)

func TestDeletedAlarmsAreForgotten(t *testing.T) {
	w := newWorld(t)
	n := w.node("n1", nil)
	r := w.alarm(n, nil)
	w.backlog.Store(11)
	w.await("firing")
	if err := n.Rules().DeleteAlarm(t.Context(), project, r.ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := n.Rules().Alarm(t.Context(), project, r.ID); !errors.Is(err, &dms.Error{Code: dms.AlarmNotFound}) {
		t.Errorf("a deleted alarm answers %v", err)
	}
	eventually(t, func() (string, bool) {
		w.m.mu.Lock()
		defer w.m.mu.Unlock()
		for key := range w.m.records {
			if key != leaseKey {
				return "left: " + key, false
			}
		}
		return "", len(w.m.entries[journalKey(project, r.ID)]) == 0
	})
}

func TestRulesKeepTheirSecrets(t *testing.T) {
	w := newWorld(t)
	n := w.node("n1", nil)
	rules := n.Rules()
	r := w.alarm(n, nil)
	if r.Webhooks[0].Secret != "" {
		t.Error("the answer shows the secret")
	}
	w.m.mu.Lock()
	stored := string(w.m.records[ruleKey(project, r.ID)].Value)
	w.m.mu.Unlock()
	if strings.Contains(stored, secret) {
		t.Errorf("the secret is stored as it is: %s", stored)
	}
	// A change that leaves the secret out keeps it.
	r.Threshold = 5
	if _, err := rules.ReplaceAlarm(t.Context(), project, r.ID, r); err != nil {
		t.Fatal(err)
	}
	w.backlog.Store(6)
	w.await("firing") // signed with the secret, or the receiver complains
	other := r
	other.Webhooks = []alarm.Webhook{{URL: w.hook.URL + "/elsewhere"}}
	if _, err := rules.ReplaceAlarm(t.Context(), project, r.ID, other); !errors.Is(err, &dms.Error{Code: dms.BadManageBody}) && !strings.Contains(fmt.Sprint(err), "webhooks[0].secret") {
		t.Errorf("another address without a secret: %v", err)
	}
	results, err := rules.TestAlarm(t.Context(), project, r.ID)
	if err != nil || len(results) != 1 || results[0].Error != "" {
		t.Errorf("the test gives %+v, %v", results, err)
	}
	w.await("firing test")
}

func TestProjectsHaveALimitedNumberOfAlarms(t *testing.T) {
	w := newWorld(t)
	n := w.node("n1", nil)
	for range 3 {
		w.alarm(n, nil)
	}
	_, err := n.Rules().CreateAlarm(t.Context(), project, alarm.Rule{
		Name: "one more", Metric: "available_messages", Comparison: alarm.Above, Severity: alarm.Info,
	})
	if own, ok := errors.AsType[*dms.Error](err); !ok || own.Code != dms.QuotaExceeded {
		t.Errorf("one more alarm than allowed: %v", err)
	}
	rules, states, err := n.Rules().Alarms(t.Context(), project)
	if err != nil || len(rules) != 3 || len(states) != 3 {
		t.Errorf("%d rules, %d states, %v", len(rules), len(states), err)
	}
	if _, _, err := n.Rules().Alarm(t.Context(), "ffffffffffffffffffffffffffffffff", rules[0].ID); err == nil {
		t.Error("another project sees the alarm")
	}
}
