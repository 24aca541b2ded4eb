package watch

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"dms/mapping/dms"
	"dms/monitor/alarm"
	"dms/monitor/webhook"
	"dms/tenancy"
)

// Keys of records and of the journal.
func ruleKey(project tenancy.ProjectID, id alarm.ID) string {
	return "rule." + string(project) + "." + string(id)
}

func stateKey(project tenancy.ProjectID, id alarm.ID) string {
	return "state." + string(project) + "." + string(id)
}

func journalKey(project tenancy.ProjectID, id alarm.ID) string {
	return string(project) + "." + string(id)
}

// ofKey takes a key of a rule or state apart.
func ofKey(key string) (project tenancy.ProjectID, id alarm.ID, ok bool) {
	parts := strings.Split(key, ".")
	if len(parts) != 3 {
		return "", "", false
	}
	id, ok = alarm.ParseID(parts[2])
	return tenancy.ProjectID(parts[1]), id, ok
}

// storedRule is a rule as its record holds it. One that is deleted stays as a mark until
// the node that watches has seen it.
type storedRule struct {
	alarm.Rule
	Deleted bool `json:"deleted,omitempty"`
}

func decodeRule(r Record) (storedRule, error) {
	var s storedRule
	if len(r.Value) == 0 {
		return storedRule{Deleted: true}, nil
	}
	if err := json.Unmarshal(r.Value, &s); err != nil {
		return s, fmt.Errorf("record %s: %w", r.Key, err)
	}
	return s, nil
}

func decodeState(r Record) (s alarm.State, err error) {
	if len(r.Value) == 0 {
		return s, nil
	}
	if err := json.Unmarshal(r.Value, &s); err != nil {
		return s, fmt.Errorf("record %s: %w", r.Key, err)
	}
	return s, nil
}

// Rules is what projects do with their alarms, on any node. It is safe for concurrent
// use.
type Rules struct {
	records Records
	journal Journal
	sealer  sealer
	sender  *webhook.Sender
	most    int
	now     func() time.Time
}

// Alarms lists the project's rules with their states, oldest first. Secrets are left out.
func (r *Rules) Alarms(ctx context.Context, project tenancy.ProjectID) ([]alarm.Rule, []alarm.State, error) {
	records, err := r.records.List(ctx, ruleKey(project, "*"), 0)
	if err != nil {
		return nil, nil, unavailable(err)
	}
	var rules []alarm.Rule
	for _, record := range records {
		stored, err := decodeRule(record)
		if err != nil {
			return nil, nil, err
		}
		if !stored.Deleted {
			rules = append(rules, shown(stored.Rule))
		}
	}
	slices.SortFunc(rules, func(a, b alarm.Rule) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	records, err = r.records.List(ctx, stateKey(project, "*"), 0)
	if err != nil {
		return nil, nil, unavailable(err)
	}
	byID := make(map[alarm.ID]alarm.State)
	for _, record := range records {
		if _, id, ok := ofKey(record.Key); ok {
			if byID[id], err = decodeState(record); err != nil {
				return nil, nil, err
			}
		}
	}
	states := make([]alarm.State, len(rules))
	for i, rule := range rules {
		states[i] = byID[rule.ID]
	}
	return rules, states, nil
}

// Alarm returns one rule and its state.
func (r *Rules) Alarm(ctx context.Context, project tenancy.ProjectID, id alarm.ID) (alarm.Rule, alarm.State, error) {
	rule, _, err := r.get(ctx, project, id)
	if err != nil {
		return alarm.Rule{}, alarm.State{}, err
	}
	record, err := r.records.Get(ctx, stateKey(project, id))
	if err != nil {
		return alarm.Rule{}, alarm.State{}, unavailable(err)
	}
	state, err := decodeState(record)
	return shown(rule), state, err
}

// CreateAlarm stores a new rule.
func (r *Rules) CreateAlarm(ctx context.Context, project tenancy.ProjectID, rule alarm.Rule) (alarm.Rule, error) {
	rule.ID = alarm.NewID()
	rule.Created = r.now().UTC().Truncate(time.Millisecond)
	rule.Changed = rule.Created
	if err := r.check(rule); err != nil {
		return alarm.Rule{}, err
	}
	have, _, err := r.Alarms(ctx, project)
	if err != nil {
		return alarm.Rule{}, err
	}
	if len(have) >= r.most {
		return alarm.Rule{}, dms.Errorf(dms.QuotaExceeded, "the project may have at most %d alarms", r.most)
	}
	return r.put(ctx, project, rule, 0)
}

// ReplaceAlarm changes a rule. A webhook that is given without a secret keeps the one that
// its URL had.
func (r *Rules) ReplaceAlarm(ctx context.Context, project tenancy.ProjectID, id alarm.ID, rule alarm.Rule) (alarm.Rule, error) {
	return r.change(ctx, project, id, func(old alarm.Rule) (alarm.Rule, error) {
		next := rule
		next.ID, next.Created, next.MutedUntil = id, old.Created, old.MutedUntil
		next.Webhooks = slices.Clone(rule.Webhooks)
		kept := make(map[int]alarm.Secret)
		for i, w := range next.Webhooks {
			if w.Secret != "" {
				continue
			}
			at := slices.IndexFunc(old.Webhooks, func(o alarm.Webhook) bool { return o.URL == w.URL })
			if at < 0 {
				continue
			}
			secret, err := r.sealer.open(project, id, old.Webhooks[at].Secret)
			if err != nil {
				return next, err
			}
			kept[i] = alarm.Secret(secret)
		}
		for i, secret := range kept {
			next.Webhooks[i].Secret = secret
		}
		return next, r.check(next)
	})
}

// MuteAlarm tells nobody of the alarm until the time, which may be in the past to end it.
func (r *Rules) MuteAlarm(ctx context.Context, project tenancy.ProjectID, id alarm.ID, until time.Time) (alarm.Rule, error) {
	for {
		rule, record, err := r.get(ctx, project, id)
		if err != nil {
			return alarm.Rule{}, err
		}
		rule.MutedUntil = until.UTC()
		if err := r.write(ctx, project, rule, record.Revision); errors.Is(err, ErrConflict) && ctx.Err() == nil {
			continue
		} else if err != nil {
			return alarm.Rule{}, unavailable(err)
		}
		return shown(rule), nil
	}
}

// DeleteAlarm removes a rule. Nobody is told that it does not fire any more.
func (r *Rules) DeleteAlarm(ctx context.Context, project tenancy.ProjectID, id alarm.ID) error {
	for {
		_, record, err := r.get(ctx, project, id)
		if err != nil {
			return err
		}
		_, err = r.records.Put(ctx, record.Key, mustJSON(storedRule{Deleted: true}), record.Revision)
		if errors.Is(err, ErrConflict) && ctx.Err() == nil {
			continue
		}
		return unavailable(err)
	}
}

// DeleteAlarms removes all alarms of a project that is being deleted. It may be called
// again.
func DeleteAlarms(ctx context.Context, records Records, project tenancy.ProjectID) error {
	all, err := records.List(ctx, ruleKey(project, "*"), 0)
	if err != nil {
		return unavailable(err)
	}
	r := Rules{records: records}
	for _, record := range all {
		_, id, ok := ofKey(record.Key)
		if !ok {
			continue
		}
		err := r.DeleteAlarm(ctx, project, id)
		if err != nil && !errors.Is(err, &dms.Error{Code: dms.AlarmNotFound}) {
			return fmt.Errorf("delete the alarms of %s: %w", project, err)
		}
	}
	return nil
}

// change reads a rule, lets f change it, and writes it, as often as it takes. f returns
// the rule with its secrets open.
func (r *Rules) change(ctx context.Context, project tenancy.ProjectID, id alarm.ID, f func(alarm.Rule) (alarm.Rule, error)) (alarm.Rule, error) {
	for {
		old, record, err := r.get(ctx, project, id)
		if err != nil {
			return alarm.Rule{}, err
		}
		next, err := f(old)
		if err != nil {
			return alarm.Rule{}, err
		}
		next.Changed = r.now().UTC().Truncate(time.Millisecond)
		next, err = r.put(ctx, project, next, record.Revision)
		if errors.Is(err, ErrConflict) && ctx.Err() == nil {
			continue
		}
		return next, err
	}
}

func (r *Rules) get(ctx context.Context, project tenancy.ProjectID, id alarm.ID) (alarm.Rule, Record, error) {
	record, err := r.records.Get(ctx, ruleKey(project, id))
	if err != nil {
		return alarm.Rule{}, record, unavailable(err)
	}
	stored, err := decodeRule(record)
	if err == nil && stored.Deleted {
		err = &dms.Error{Code: dms.AlarmNotFound}
	}
	return stored.Rule, record, err
}

// put seals the secrets and writes the rule.
func (r *Rules) put(ctx context.Context, project tenancy.ProjectID, rule alarm.Rule, revision uint64) (alarm.Rule, error) {
	rule.Webhooks = slices.Clone(rule.Webhooks)
	for i := range rule.Webhooks {
		rule.Webhooks[i].Secret = r.sealer.seal(project, rule.ID, rule.Webhooks[i].Secret)
	}
	err := r.write(ctx, project, rule, revision)
	if errors.Is(err, ErrConflict) {
		return alarm.Rule{}, err
	}
	return shown(rule), unavailable(err)
}

func (r *Rules) write(ctx context.Context, project tenancy.ProjectID, rule alarm.Rule, revision uint64) error {
	_, err := r.records.Put(ctx, ruleKey(project, rule.ID), mustJSON(storedRule{Rule: rule}), revision)
	return err
}

// shown is a rule as anybody may see it.
func shown(rule alarm.Rule) alarm.Rule {
	rule.Webhooks = slices.Clone(rule.Webhooks)
	for i := range rule.Webhooks {
		rule.Webhooks[i].Secret = ""
	}
	return rule
}

func (r *Rules) check(rule alarm.Rule) error {
	if err := rule.Validate(); err != nil {
		return dms.Errorf(dms.BadManageBody, "%s", err)
	}
	for i, w := range rule.Webhooks {
		if err := r.sender.Check(w.URL); err != nil {
			return dms.Errorf(dms.BadManageBody, "webhooks[%d].url cannot be used: %s", i, err)
		}
	}
	return nil
}

func unavailable(err error) error {
	if err == nil {
		return nil
	}
	if own, ok := errors.AsType[*dms.Error](err); ok {
		return own
	}
	return dms.Wrap(dms.Unavailable, err)
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("watch: a record of our own cannot be encoded: " + err.Error())
	}
	return b
}
