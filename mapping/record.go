package mapping

import (
	"slices"
	"strings"
	"time"

	"dms/mapping/dms"
)

// record is what may change about a queue: its groups and resource tags. It is kept
// under one key and changed by compare-and-set, so that two nodes cannot undo each
// other; a queue without a record has neither. Consumers are made from it.
type record struct {
	Groups []groupRecord `json:"groups,omitempty"`
	Tags   []tagRecord   `json:"tags,omitempty"`
	// What was changed of the attributes the queue was made with.
	Attributes attributes `json:"attributes,omitzero"`
}

// attributes are those of a queue's attributes that were changed; nil is unchanged.
type attributes struct {
	Description *string `json:"description,omitempty"`
	MaxConsume  *int    `json:"max_consume_count,omitempty"` // 0: no dead letters
	Retention   *int    `json:"retention_hours,omitempty"`
}

// apply changes what was read of the queue's stream to what it is.
func (a attributes) apply(q *dms.Queue) {
	if a.Description != nil {
		q.Description = a.Description
	}
	if a.MaxConsume != nil {
		q.MaxConsumeCount = *a.MaxConsume
	}
	if a.Retention != nil {
		q.Retention = time.Duration(*a.Retention) * time.Hour
	}
}

type tagRecord struct {
	Key   string `json:"k"`
	Value string `json:"v"`
}

type groupRecord struct {
	ID      dms.GroupID `json:"id"`
	Name    string      `json:"name"`
	Created int64       `json:"created"` // epoch milliseconds
	// Used is set by the first consume, which also fixes the labels for good.
	Used   bool      `json:"used,omitempty"`
	Labels []string  `json:"labels,omitempty"` // sorted
	Match  dms.Match `json:"match,omitempty"`
	// Gen is how often the position of a group of a NORMAL queue was moved, and Start the
	// first message it reads since; 0 and 1 mean all. A FIFO queue's cursor begins there.
	Gen   uint32 `json:"gen,omitempty"`
	Start uint64 `json:"start,omitempty"`
	// Again says that dead letters were given back to this group alone; see again.go.
	Again bool `json:"again,omitempty"`
}

func (r *record) group(id dms.GroupID) *groupRecord {
	for i := range r.Groups {
		if r.Groups[i].ID == id {
			return &r.Groups[i]
		}
	}
	return nil
}

// addGroups adds all groups or none. A group that stands already under the same id
// is left alone, so that the change can be tried again.
func (r *record) addGroups(groups []groupRecord, limit int) error {
	added := slices.Clone(r.Groups)
	for _, g := range groups {
		if r.group(g.ID) != nil {
			continue
		}
		for _, have := range added {
			if have.Name == g.Name {
				return dms.Errorf(dms.GroupExists, "a consumer group with the name %s exists already", g.Name)
			}
		}
		added = append(added, g)
	}
	if len(added) > limit {
		return dms.Errorf(dms.TooManyGroups, "a queue may have at most %d consumer groups", limit)
	}
	r.Groups = added
	return nil
}

func (r *record) removeGroup(id dms.GroupID) error {
	n := len(r.Groups)
	r.Groups = slices.DeleteFunc(r.Groups, func(g groupRecord) bool { return g.ID == id })
	if len(r.Groups) == n {
		return dms.Errorf(dms.GroupNotFound, "the consumer group does not exist")
	}
	return nil
}

// lockLabels marks the group as used and fixes its labels.
func (r *record) lockLabels(id dms.GroupID, labels []string, match dms.Match) error {
	g := r.group(id)
	if g == nil {
		return dms.Errorf(dms.GroupNotFound, "the consumer group does not exist")
	}
	if g.Used {
		return g.checkLabels(labels, match)
	}
	g.Used, g.Labels, g.Match = true, labels, match
	return nil
}

// checkLabels refuses labels other than the group's own; they must be sorted.
func (g *groupRecord) checkLabels(labels []string, match dms.Match) error {
	// With one label both ways to combine mean the same.
	if slices.Equal(g.Labels, labels) && (g.Match == match || len(labels) < 2) {
		return nil
	}
	if len(g.Labels) == 0 {
		return dms.Errorf(dms.ConsumeFailed, "the consumer group has consumed without tags and must go on without")
	}
	return dms.Errorf(dms.ConsumeFailed, "the consumer group consumes the tags %s and cannot change them", strings.Join(g.Labels, ", "))
}

// putTags adds tags, replacing the values of keys that are there.
func (r *record) putTags(tags []dms.Tag) error {
	for _, t := range tags {
		i := slices.IndexFunc(r.Tags, func(have tagRecord) bool { return have.Key == t.Key })
		if i >= 0 {
			r.Tags[i].Value = t.Value
		} else {
			r.Tags = append(r.Tags, tagRecord(t))
		}
	}
	if len(r.Tags) > dms.MaxTags {
		return dms.Errorf(dms.TooManyTags, "a queue may have at most %d tags", dms.MaxTags)
	}
	return nil
}

// removeTags takes tags away and returns how many there were.
func (r *record) removeTags(tags []dms.TagRemoval) int {
	n := len(r.Tags)
	for _, t := range tags {
		r.Tags = slices.DeleteFunc(r.Tags, func(have tagRecord) bool {
			return have.Key == t.Key && (t.Value == nil || have.Value == *t.Value)
		})
	}
	return n - len(r.Tags)
}

func (r *record) tags() []dms.Tag {
	tags := make([]dms.Tag, len(r.Tags))
	for i, t := range r.Tags {
		tags[i] = dms.Tag(t)
	}
	return tags
}

// clone is deep enough for the changes above.
func (r *record) clone() *record {
	return &record{Groups: slices.Clone(r.Groups), Tags: slices.Clone(r.Tags), Attributes: r.Attributes}
}

func newGroupRecord(name string, now time.Time) groupRecord {
	return groupRecord{ID: dms.NewGroupID(), Name: name, Created: now.UnixMilli()}
}
