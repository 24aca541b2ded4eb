package mapping

import (
	"encoding/json"
	"fmt"
	"testing"

	"dms/mapping/dms"

	"github.com/google/go-cmp/cmp"
)

func groupNamed(id dms.GroupID, name string) groupRecord {
	return groupRecord{ID: id, Name: name, Created: epoch.UnixMilli()}
}

func TestGroupsAreAddedAllOrNone(t *testing.T) {
	a, b, c := groupNamed("g-a", "a"), groupNamed("g-b", "b"), groupNamed("g-c", "c")
	used := a
	used.Used, used.Labels = true, []string{"x"}
	for name, row := range map[string]struct {
		have, add, want []groupRecord
		limit           int
		code            dms.Code
	}{
		"into an empty record":     {nil, []groupRecord{a, b}, []groupRecord{a, b}, 3, ""},
		"up to the limit":          {[]groupRecord{a}, []groupRecord{b, c}, []groupRecord{a, b, c}, 3, ""},
		"beyond the limit":         {[]groupRecord{a}, []groupRecord{b, c}, []groupRecord{a}, 2, dms.TooManyGroups},
		"more than there may be":   {nil, []groupRecord{a, b, c}, nil, 2, dms.TooManyGroups},
		"no groups":                {[]groupRecord{a}, nil, []groupRecord{a}, 3, ""},
		"a name that is there":     {[]groupRecord{a}, []groupRecord{b, groupNamed("g-x", "a")}, []groupRecord{a}, 9, dms.GroupExists},
		"one name twice":           {nil, []groupRecord{a, groupNamed("g-x", "a")}, nil, 9, dms.GroupExists},
		"names apart by case only": {[]groupRecord{a}, []groupRecord{groupNamed("g-x", "A")}, []groupRecord{a, groupNamed("g-x", "A")}, 9, ""},
		"once more":                {[]groupRecord{a, b}, []groupRecord{a, b}, []groupRecord{a, b}, 2, ""},
		"once more, used by now":   {[]groupRecord{used}, []groupRecord{a}, []groupRecord{used}, 1, ""},
		"the rest of an attempt":   {[]groupRecord{a}, []groupRecord{a, b}, []groupRecord{a, b}, 2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := &record{Groups: row.have}
			err := r.addGroups(row.add, row.limit)
			if row.code == "" && err != nil || row.code != "" && !has(err, row.code) {
				t.Errorf("error is %v, want code %q", err, row.code)
			}
			if d := cmp.Diff(row.want, r.Groups); d != "" {
				t.Errorf("groups (-want +got):\n%s", d)
			}
		})
	}
}

func TestAGroupIsRemovedOnce(t *testing.T) {
	r := &record{Groups: []groupRecord{groupNamed("g-a", "a"), groupNamed("g-b", "b")}}
	if err := r.removeGroup("g-a"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, r.removeGroup("g-a"), dms.GroupNotFound)
	if r.group("g-a") != nil || r.group("g-b") == nil {
		t.Errorf("groups are %+v, want g-b alone", r.Groups)
	}
	if err := r.addGroups([]groupRecord{groupNamed("g-c", "a")}, 2); err != nil {
		t.Errorf("the name of a removed group is not free: %v", err)
	}
}

func TestTheFirstConsumeFixesTheLabels(t *testing.T) {
	type consume struct {
		labels []string
		match  dms.Match
	}
	none, one, oneAll := consume{}, consume{[]string{"a"}, dms.AnyLabel}, consume{[]string{"a"}, dms.AllLabels}
	anyTwo, allTwo := consume{[]string{"a", "b"}, dms.AnyLabel}, consume{[]string{"a", "b"}, dms.AllLabels}
	for name, row := range map[string]struct {
		first, second consume
		refused       bool
	}{
		"none, none":                  {none, none, false},
		"none, none but all of it":    {none, consume{nil, dms.AllLabels}, false},
		"none, an empty list":         {none, consume{[]string{}, dms.AnyLabel}, false},
		"none, one":                   {none, one, true},
		"one, none":                   {one, none, true},
		"one, one":                    {one, one, false},
		"any of one, all of one":      {one, oneAll, false},
		"all of one, any of one":      {oneAll, one, false},
		"one, another":                {one, consume{[]string{"b"}, dms.AnyLabel}, true},
		"one, in capitals":            {one, consume{[]string{"A"}, dms.AnyLabel}, true},
		"one, two":                    {one, anyTwo, true},
		"two, one":                    {anyTwo, one, true},
		"any of two, any of two":      {anyTwo, anyTwo, false},
		"all of two, all of two":      {allTwo, allTwo, false},
		"any of two, all of two":      {anyTwo, allTwo, true},
		"all of two, any of two":      {allTwo, anyTwo, true},
		"two, two of which one other": {anyTwo, consume{[]string{"a", "c"}, dms.AnyLabel}, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := &record{Groups: []groupRecord{groupNamed("g-o", "other"), groupNamed("g-a", "a")}}
			if err := r.lockLabels("g-a", row.first.labels, row.first.match); err != nil {
				t.Fatalf("first consume: %v", err)
			}
			if r.Groups[0].Used || !r.Groups[1].Used {
				t.Errorf("groups are %+v, want the second one used", r.Groups)
			}
			first := r.Groups[1]
			err := r.lockLabels("g-a", row.second.labels, row.second.match)
			if row.refused {
				wantCode(t, err, dms.ConsumeFailed)
			} else if err != nil {
				t.Errorf("second consume: %v", err)
			}
			if d := cmp.Diff(first, r.Groups[1]); d != "" {
				t.Errorf("the second consume changed the group (-want +got):\n%s", d)
			}
		})
	}
	wantCode(t, (&record{}).lockLabels("g-a", nil, dms.AnyLabel), dms.GroupNotFound)
}

func numberedTags(from, to int) (tags []dms.Tag) {
	for i := from; i <= to; i++ {
		tags = append(tags, dms.Tag{Key: fmt.Sprintf("k%d", i), Value: "v"})
	}
	return tags
}

func TestTagsArePutInOrderUpToTheirLimit(t *testing.T) {
	for name, row := range map[string]struct {
		have, put, want []dms.Tag
		code            dms.Code
	}{
		"new ones":             {nil, []dms.Tag{{Key: "b", Value: "1"}, {Key: "a", Value: "2"}}, []dms.Tag{{Key: "b", Value: "1"}, {Key: "a", Value: "2"}}, ""},
		"a new value":          {[]dms.Tag{{Key: "b", Value: "1"}, {Key: "a", Value: "2"}}, []dms.Tag{{Key: "b"}}, []dms.Tag{{Key: "b"}, {Key: "a", Value: "2"}}, ""},
		"keys differ by case":  {[]dms.Tag{{Key: "a", Value: "1"}}, []dms.Tag{{Key: "A", Value: "2"}}, []dms.Tag{{Key: "a", Value: "1"}, {Key: "A", Value: "2"}}, ""},
		"none":                 {numberedTags(1, 1), nil, numberedTags(1, 1), ""},
		"the most":             {numberedTags(1, 9), numberedTags(10, 10), numberedTags(1, 10), ""},
		"the most, once more":  {numberedTags(1, 10), numberedTags(1, 10), numberedTags(1, 10), ""},
		"more than there may":  {numberedTags(1, 10), numberedTags(11, 11), nil, dms.TooManyTags},
		"too many at one time": {nil, numberedTags(1, 11), nil, dms.TooManyTags},
	} {
		t.Run(name, func(t *testing.T) {
			r := &record{}
			if err := r.putTags(row.have); err != nil {
				t.Fatal(err)
			}
			err := r.putTags(row.put)
			if row.code != "" {
				wantCode(t, err, row.code) // the changed record is then not written
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(row.want, r.tags()); d != "" {
				t.Errorf("tags (-want +got):\n%s", d)
			}
		})
	}
}

func TestTagsAreRemovedByKeyOrByKeyAndValue(t *testing.T) {
	one, two := "1", "2"
	for name, row := range map[string]struct {
		remove  []dms.TagRemoval
		removed int
		want    []dms.Tag
	}{
		"by key":           {[]dms.TagRemoval{{Key: "a"}}, 1, []dms.Tag{{Key: "b", Value: "2"}}},
		"by its value":     {[]dms.TagRemoval{{Key: "a", Value: &one}}, 1, []dms.Tag{{Key: "b", Value: "2"}}},
		"by another value": {[]dms.TagRemoval{{Key: "a", Value: &two}}, 0, []dms.Tag{{Key: "a", Value: "1"}, {Key: "b", Value: "2"}}},
		"by another key":   {[]dms.TagRemoval{{Key: "A"}, {Key: "c"}}, 0, []dms.Tag{{Key: "a", Value: "1"}, {Key: "b", Value: "2"}}},
		"all":              {[]dms.TagRemoval{{Key: "b"}, {Key: "a", Value: &one}}, 2, []dms.Tag{}},
		"one twice":        {[]dms.TagRemoval{{Key: "a"}, {Key: "a"}}, 1, []dms.Tag{{Key: "b", Value: "2"}}},
	} {
		t.Run(name, func(t *testing.T) {
			r := &record{Tags: []tagRecord{{"a", "1"}, {"b", "2"}}}
			if got := r.removeTags(row.remove); got != row.removed {
				t.Errorf("removed %d, want %d", got, row.removed)
			}
			if d := cmp.Diff(row.want, r.tags()); d != "" {
				t.Errorf("tags (-want +got):\n%s", d)
			}
		})
	}
}

func TestRecordsAreStoredAsTheyWere(t *testing.T) {
	r := &record{
		Groups: []groupRecord{
			{ID: groupA, Name: "a", Created: 1},
			{ID: groupB, Name: "b", Created: 2, Used: true, Labels: []string{"x", "y"}, Match: dms.AllLabels},
		},
		Tags: []tagRecord{{"k", ""}, {"größe", "<&>"}},
	}
	stored := mustJSON(r)
	var back record
	if err := json.Unmarshal(stored, &back); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(r, &back); d != "" {
		t.Errorf("record (-want +got):\n%s", d)
	}
	// Spelled out, since records of this form are on disk.
	want := `{"groups":[{"id":"` + string(groupA) + `","name":"a","created":1},` +
		`{"id":"` + string(groupB) + `","name":"b","created":2,"used":true,"labels":["x","y"],"match":1}],` +
		`"tags":[{"k":"k","v":""},{"k":"größe","v":"\u003c\u0026\u003e"}]}`
	if d := cmp.Diff(want, string(stored)); d != "" {
		t.Errorf("stored record (-want +got):\n%s", d)
	}
	if got := string(mustJSON(&record{})); got != "{}" {
		t.Errorf("an empty record is %s", got)
	}
}

func TestACloneIsApartFromItsRecord(t *testing.T) {
	r := &record{Groups: []groupRecord{groupNamed("g-a", "a")}, Tags: []tagRecord{{"k", "v"}}}
	before := mustJSON(r)
	c := r.clone()
	if err := c.lockLabels("g-a", []string{"x"}, dms.AnyLabel); err != nil {
		t.Fatal(err)
	}
	if err := c.putTags([]dms.Tag{{Key: "k", Value: "w"}, {Key: "l"}}); err != nil {
		t.Fatal(err)
	}
	if err := c.addGroups([]groupRecord{groupNamed("g-b", "b")}, 2); err != nil {
		t.Fatal(err)
	}
	if err := c.removeGroup("g-a"); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(before), string(mustJSON(r))); d != "" {
		t.Errorf("changing the clone changed the record (-want +got):\n%s", d)
	}
}

func TestNewGroupsHaveIdsOfTheirOwn(t *testing.T) {
	a, b := newGroupRecord("a", epoch), newGroupRecord("a", epoch)
	if a.ID == b.ID {
		t.Errorf("two groups have the id %s", a.ID)
	}
	if _, err := dms.ParseGroupID(string(a.ID)); err != nil || a.Name != "a" || a.Created != epoch.UnixMilli() || a.Used {
		t.Errorf("new group is %+v (%v)", a, err)
	}
}
