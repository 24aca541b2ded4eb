package facade

import (
	"net/http"

	"dms/facade/strictjson"
	"dms/mapping/dms"
)

func (a *API) queueTags(c *call) error {
	tags, err := a.o.Tags.QueueTags(c.ctx(), c.queue)
	if err != nil {
		return err
	}
	return c.encode(http.StatusOK, tagList{Tags: newTagItems(tags)})
}

func (a *API) projectTags(c *call) error {
	tags, err := a.o.Tags.ProjectTags(c.ctx(), c.project.ID)
	if err != nil {
		return err
	}
	list := tagValuesList{Tags: make([]tagValues, len(tags))}
	for i, t := range tags {
		list.Tags[i] = tagValues{Key: t.Key, Values: append([]string{}, t.Values...)}
	}
	return c.encode(http.StatusOK, list)
}

func (a *API) addTag(c *call) error {
	var tag *dms.TagRemoval
	err := whole(c.body, []string{"tag"}, func(r *strictjson.Reader, _ int) error {
		t, err := parseTag(r)
		tag = &t
		return err
	})
	if err != nil {
		return manageError(err)
	}
	if tag == nil {
		return dms.Errorf(dms.BadManageBody, "tag is missing")
	}
	put, err := storable(*tag)
	if err != nil {
		return err
	}
	if err := a.o.Tags.PutTags(c.ctx(), c.queue, []dms.Tag{put}); err != nil {
		return err
	}
	return c.done()
}

func (a *API) deleteTag(c *call) error {
	key, err := param(c.r, "key")
	if err != nil {
		return dms.Errorf(dms.BadParameters, "the URL has a malformed escape")
	}
	if err := dms.ValidateTagKey(key); err != nil {
		return err
	}
	removed, err := a.o.Tags.RemoveTags(c.ctx(), c.queue, []dms.TagRemoval{{Key: key}})
	if err != nil {
		return err
	}
	if removed == 0 {
		return &dms.Error{Code: dms.TagNotFound}
	}
	return c.done()
}

// changeTags adds or removes several tags. Removing absent ones is a success.
func (a *API) changeTags(c *call) error {
	action, tags, err := parseTagAction(c.body)
	if err != nil {
		return manageError(err)
	}
	if action == "delete" {
		if _, err := a.o.Tags.RemoveTags(c.ctx(), c.queue, tags); err != nil {
			return err
		}
		return c.done()
	}
	put := make([]dms.Tag, len(tags))
	for i, t := range tags {
		if put[i], err = storable(t); err != nil {
			return err
		}
	}
	if err := a.o.Tags.PutTags(c.ctx(), c.queue, put); err != nil {
		return err
	}
	return c.done()
}

func parseTagAction(body []byte) (action string, tags []dms.TagRemoval, err error) {
	seen := make(map[string]bool)
	names := []string{"action", "tags"}
	err = whole(body, names, func(r *strictjson.Reader, i int) (err error) {
		if names[i] == "action" {
			action, err = r.Text("action")
			return err
		}
		return r.Array("tags", func(i int) error {
			if i == dms.MaxTags {
				return &dms.Error{Code: dms.TooManyTags}
			}
			t, err := parseTag(r)
			if err != nil {
				return err
			}
			if seen[t.Key] {
				return dms.Errorf(dms.DuplicateTag, "tag key %q is given twice", t.Key)
			}
			seen[t.Key] = true
			tags = append(tags, t)
			return nil
		})
	})
	switch {
	case err != nil:
		return "", nil, err
	case action != "create" && action != "delete":
		return "", nil, &dms.Error{Code: dms.BadTagAction}
	case len(tags) == 0:
		return "", nil, dms.Errorf(dms.BadManageBody, "tags must name at least one tag")
	}
	return action, tags, nil
}

// parseTag reads a tag whose value may be absent, and checks both.
func parseTag(r *strictjson.Reader) (dms.TagRemoval, error) {
	var t dms.TagRemoval
	err := r.Object("a tag", []string{"key", "value"}, func(i int) (err error) {
		if i == 0 {
			t.Key, err = r.Text("key")
			return err
		}
		t.Value, err = optional(r, "value", r.Text)
		return err
	})
	if err != nil {
		return t, err
	}
	_, err = storable(t)
	return t, err
}

// storable returns the tag to store; a tag without a value has an empty one.
func storable(t dms.TagRemoval) (dms.Tag, error) {
	tag := dms.Tag{Key: t.Key}
	if t.Value != nil {
		tag.Value = *t.Value
	}
	return tag, tag.Validate()
}
