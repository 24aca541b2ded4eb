package facade

import (
	"math"
	"net/http"
	"strconv"

	"dms/facade/strictjson"
	"dms/mapping/dms"
)

// maxPage is the largest page of a search, and its default.
const maxPage = 1000

// tagSearch is a search for queues by their tags, read.
type tagSearch struct {
	query         dms.TagQuery
	countOnly     bool
	limit, offset int
}

// findQueues searches queues by their tags and names, or counts them.
func (a *API) findQueues(c *call) error {
	search, err := parseTagSearch(c.body)
	if err != nil {
		return manageError(err)
	}
	found, err := a.o.Tags.FindQueues(c.ctx(), c.project.ID, search.query)
	if err != nil {
		return err
	}
	if search.countOnly {
		return c.encode(http.StatusOK, foundCount{TotalCount: count(len(found))})
	}
	from := min(search.offset, len(found))
	to := min(from+search.limit, len(found))
	answer := foundQueues{TotalCount: count(len(found)), Resources: make([]foundQueue, 0, to-from)}
	for _, q := range found[from:to] {
		answer.Resources = append(answer.Resources, foundQueue{ID: q.Queue, Name: q.Name, Tags: newTagItems(q.Tags)})
	}
	return c.encode(http.StatusOK, answer)
}

func parseTagSearch(body []byte) (tagSearch, error) {
	s := tagSearch{limit: maxPage}
	var action string
	names := []string{"action", "limit", "offset", "tags", "tags_any", "not_tags", "not_tags_any", "matches"}
	err := whole(body, names, func(r *strictjson.Reader, i int) (err error) {
		if null, err := r.Null(); null || err != nil {
			return err
		}
		switch names[i] {
		case "action":
			action, err = r.Text("action")
		case "limit":
			s.limit, err = textNumber(r, "limit", 1, maxPage, dms.BadTagLimit)
		case "offset":
			s.offset, err = textNumber(r, "offset", 0, math.MaxInt32, dms.BadTagOffset)
		case "tags":
			s.query.All, err = parseTagValues(r, names[i])
		case "tags_any":
			s.query.Any, err = parseTagValues(r, names[i])
		case "not_tags":
			s.query.NotAll, err = parseTagValues(r, names[i])
		case "not_tags_any":
			s.query.NotAny, err = parseTagValues(r, names[i])
		case "matches":
			s.query.NameContains, err = parseMatches(r)
		}
		return err
	})
	if err != nil {
		return s, err
	}
	if action != "filter" && action != "count" {
		return s, &dms.Error{Code: dms.BadTagSearch}
	}
	s.countOnly = action == "count"
	return s, s.query.Validate()
}

// textNumber reads a number that clients write as a string, as documented, or plainly.
func textNumber(r *strictjson.Reader, what string, least, most int, code dms.Code) (int, error) {
	var n int
	if r.Kind() == strictjson.String {
		text, err := r.Text(what)
		if err != nil {
			return 0, err
		}
		if n, err = strconv.Atoi(text); err != nil {
			return 0, &dms.Error{Code: code}
		}
	} else {
		var err error
		if n, err = wholeNumber(r, what, code); err != nil {
			return 0, err
		}
	}
	if n < least || n > most {
		return 0, &dms.Error{Code: code}
	}
	return n, nil
}

func parseTagValues(r *strictjson.Reader, what string) ([]dms.TagValues, error) {
	var list []dms.TagValues
	err := r.Array(what, func(i int) error {
		if i == dms.MaxTags {
			return dms.Errorf(dms.TooManyTags, "%s may have at most %d keys", what, dms.MaxTags)
		}
		var t dms.TagValues
		err := r.Object("an element of "+what, []string{"key", "values"}, func(i int) (err error) {
			if i == 0 {
				t.Key, err = r.Text("key")
				return err
			}
			return r.Array("values", func(i int) error {
				if i == dms.MaxTags {
					return dms.Errorf(dms.TooManyTags, "a key may have at most %d values", dms.MaxTags)
				}
				v, err := r.Text("a value")
				t.Values = append(t.Values, v)
				return err
			})
		})
		list = append(list, t)
		return err
	})
	return list, err
}

// parseMatches reads the search in names: the one thing there is to match.
func parseMatches(r *strictjson.Reader) (contains string, err error) {
	err = r.Array("matches", func(i int) error {
		if i > 0 {
			return dms.Errorf(dms.BadManageBody, "matches may have one element")
		}
		var key string
		err := r.Object("an element of matches", []string{"key", "value"}, func(i int) (err error) {
			if i == 0 {
				key, err = r.Text("key")
			} else {
				contains, err = r.Text("value")
			}
			return err
		})
		if err == nil && key != "resource_name" {
			err = dms.Errorf(dms.BadManageBody, "the key of matches must be resource_name")
		}
		return err
	})
	return contains, err
}
