package facade

import (
	"net/http"
	"strconv"
	"time"

	"dms/facade/strictjson"
	"dms/mapping/dms"
	"dms/monitor/alarm"
)

func (a *API) createAlarm(c *call) error {
	rule, err := a.newRule(c)
	if err != nil {
		return err
	}
	made, err := a.o.Alarms.CreateAlarm(c.ctx(), c.project.ID, rule)
	if err != nil {
		return err
	}
	eventOf(c.ctx()).object.Alarm = string(made.ID)
	return c.encode(http.StatusCreated, a.alarmItem(made, alarm.State{}))
}

// newRule reads the body of a new or changed alarm.
func (a *API) newRule(c *call) (alarm.Rule, error) {
	if a.o.Alarms == nil {
		return alarm.Rule{}, &dms.Error{Code: dms.NoSuchRoute}
	}
	rule, err := parseRule(c.body)
	return rule, manageError(err)
}

func (a *API) listAlarms(c *call) error {
	if a.o.Alarms == nil {
		return &dms.Error{Code: dms.NoSuchRoute}
	}
	format, err := c.one("format")
	if err != nil {
		return err
	}
	if format != "" && format != "json" && format != "prometheus" {
		return dms.Errorf(dms.BadParameters, "format must be json or prometheus")
	}
	rules, states, err := a.o.Alarms.Alarms(c.ctx(), c.project.ID)
	if err != nil {
		return err
	}
	if format == "prometheus" {
		body := alarm.Prometheus(c.project.ID, rules)
		h := c.w.Header()
		h.Set("Content-Type", "application/yaml")
		h.Set("Content-Length", strconv.Itoa(len(body)))
		c.w.WriteHeader(http.StatusOK)
		_, _ = c.w.Write(body) // a client that does not take it is no error of ours
		return nil
	}
	list := alarmList{Total: count(len(rules)), Alarms: make([]alarmItem, len(rules))}
	for i, r := range rules {
		list.Alarms[i] = a.alarmItem(r, states[i])
	}
	return c.encode(http.StatusOK, list)
}

func (a *API) showAlarm(c *call) error {
	return a.withAlarm(c, func(id alarm.ID) error {
		rule, state, err := a.o.Alarms.Alarm(c.ctx(), c.project.ID, id)
		if err != nil {
			return err
		}
		return c.encode(http.StatusOK, a.alarmItem(rule, state))
	})
}

// withAlarm calls f with the alarm of the URL. An id that cannot be one names nothing.
func (a *API) withAlarm(c *call, f func(alarm.ID) error) error {
	if a.o.Alarms == nil {
		return &dms.Error{Code: dms.NoSuchRoute}
	}
	v, err := param(c.r, "alarm")
	if err != nil {
		return &dms.Error{Code: dms.AlarmNotFound}
	}
	id, ok := alarm.ParseID(v)
	if !ok {
		return &dms.Error{Code: dms.AlarmNotFound}
	}
	eventOf(c.ctx()).object.Alarm = string(id)
	return f(id)
}

func (a *API) replaceAlarm(c *call) error {
	return a.withAlarm(c, func(id alarm.ID) error {
		rule, err := a.newRule(c)
		if err != nil {
			return err
		}
		if _, err = a.o.Alarms.ReplaceAlarm(c.ctx(), c.project.ID, id, rule); err != nil {
			return err
		}
		rule, state, err := a.o.Alarms.Alarm(c.ctx(), c.project.ID, id)
		if err != nil {
			return err
		}
		return c.encode(http.StatusOK, a.alarmItem(rule, state))
	})
}

func (a *API) deleteAlarm(c *call) error {
	return a.withAlarm(c, func(id alarm.ID) error {
		if err := a.o.Alarms.DeleteAlarm(c.ctx(), c.project.ID, id); err != nil {
			return err
		}
		return c.done()
	})
}

// muteAlarm takes for how many seconds nobody shall be told, 0 to end that.
func (a *API) muteAlarm(c *call) error {
	return a.withAlarm(c, func(id alarm.ID) error {
		seconds := -1
		err := whole(c.body, []string{"seconds"}, func(r *strictjson.Reader, _ int) (err error) {
			seconds, err = wholeNumber(r, "seconds", dms.BadManageBody)
			return err
		})
		if err != nil {
			return manageError(err)
		}
		if most := int(alarm.MaxMute / time.Second); seconds < 0 || seconds > most {
			return dms.Errorf(dms.BadManageBody, "seconds must be 0 to %d", most)
		}
		rule, err := a.o.Alarms.MuteAlarm(c.ctx(), c.project.ID, id, a.o.Now().Add(time.Duration(seconds)*time.Second))
		if err != nil {
			return err
		}
		_, state, err := a.o.Alarms.Alarm(c.ctx(), c.project.ID, id)
		if err != nil {
			return err
		}
		return c.encode(http.StatusOK, a.alarmItem(rule, state))
	})
}

func (a *API) testAlarm(c *call) error {
	return a.withAlarm(c, func(id alarm.ID) error {
		results, err := a.o.Alarms.TestAlarm(c.ctx(), c.project.ID, id)
		if err != nil {
			return err
		}
		list := deliveryList{Deliveries: make([]deliveryItem, len(results))}
		for i, d := range results {
			list.Deliveries[i] = newDeliveryItem(d)
		}
		return c.encode(http.StatusOK, list)
	})
}

func (a *API) alarmHistory(c *call) error {
	return a.withAlarm(c, func(id alarm.ID) error {
		all, err := a.o.Alarms.History(c.ctx(), c.project.ID, id)
		if err != nil {
			return err
		}
		list := historyList{History: make([]historyItem, 0, len(all))}
		for _, h := range all {
			list.History = append(list.History, newHistoryItem(h))
		}
		return c.encode(http.StatusOK, list)
	})
}

// parseRule reads a rule. What its members mean, and which values they may have, is
// checked where rules are kept; here only that they are of the right kind.
func parseRule(body []byte) (alarm.Rule, error) {
	r := alarm.Rule{Severity: alarm.Major}
	var threshold *float64
	names := []string{
		"name", "description", "metric", "comparison", "threshold", "for_seconds", "resolve_threshold", "resolve_for_seconds",
		"queue_id", "group_id", "severity", "enabled", "webhooks",
	}
	err := whole(body, names, func(in *strictjson.Reader, i int) error {
		text := func() (string, error) {
			v, err := optional(in, names[i], in.Text)
			if v == nil {
				return "", err
			}
			return *v, err
		}
		var v string
		var err error
		switch names[i] {
		case "name":
			r.Name, err = text()
		case "description":
			r.Description, err = text()
		case "metric":
			r.Metric, err = text()
		case "comparison":
			v, err = text()
			r.Comparison = alarm.Comparison(v)
		case "threshold":
			threshold, err = optional(in, names[i], in.Float)
		case "for_seconds":
			r.For, err = parseSeconds(in, names[i])
		case "resolve_threshold":
			r.Resolve, err = optional(in, names[i], in.Float)
		case "resolve_for_seconds":
			r.ResolveFor, err = parseSeconds(in, names[i])
		case "queue_id":
			if v, err = text(); err == nil && v != "" {
				r.Queue, err = dms.ParseQueueID(v)
			}
		case "group_id":
			if v, err = text(); err == nil && v != "" {
				r.Group, err = dms.ParseGroupID(v)
			}
		case "severity":
			if v, err = text(); v != "" {
				r.Severity = alarm.Severity(v)
			}
		case "enabled":
			var enabled *bool
			enabled, err = optional(in, names[i], in.Bool)
			r.Disabled = enabled != nil && !*enabled
		case "webhooks":
			r.Webhooks, err = parseWebhooks(in)
		}
		return err
	})
	if err == nil && threshold == nil {
		err = dms.Errorf(dms.BadManageBody, "threshold is missing")
	}
	if threshold != nil {
		r.Threshold = *threshold
	}
	return r, err
}

func parseSeconds(in *strictjson.Reader, what string) (time.Duration, error) {
	v, err := optional(in, what, in.Float)
	if v == nil || err != nil {
		return 0, err
	}
	if *v < 0 || *v > alarm.MaxFor.Seconds() {
		return 0, dms.Errorf(dms.BadManageBody, "%s must be 0 to %d", what, int(alarm.MaxFor.Seconds()))
	}
	return time.Duration(*v * float64(time.Second)).Truncate(time.Millisecond), nil
}

func parseWebhooks(in *strictjson.Reader) (all []alarm.Webhook, err error) {
	if null, err := in.Null(); null || err != nil {
		return nil, err
	}
	err = in.Array("webhooks", func(i int) error {
		if i == alarm.MaxWebhooks {
			return dms.Errorf(dms.BadManageBody, "webhooks must have at most %d elements", alarm.MaxWebhooks)
		}
		var w alarm.Webhook
		names := []string{"url", "secret"}
		err := in.Object("a webhook", names, func(i int) error {
			v, err := optional(in, names[i], in.Text)
			if v == nil || err != nil {
				return err
			}
			if i == 0 {
				w.URL = *v
			} else {
				w.Secret = alarm.Secret(*v)
			}
			return nil
		})
		all = append(all, w)
		return err
	})
	return all, err
}
