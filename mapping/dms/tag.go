package dms

import (
	"strings"
	"unicode/utf8"
)

// Published limits of resource tags.
const (
	MaxTags         = 10
	maxTagKey       = 36
	maxTagValue     = 43
	maxSearchTagKey = 127
	maxSearchTagVal = 255
)

// Tag is a resource tag of a queue. It has nothing to do with message labels.
type Tag struct{ Key, Value string }

// TagValues is a tag key of a project with all its values, sorted.
type TagValues struct {
	Key    string
	Values []string
}

// Validate checks a tag that is to be stored.
func (t Tag) Validate() error {
	if err := ValidateTagKey(t.Key); err != nil {
		return err
	}
	if utf8.RuneCountInString(t.Value) > maxTagValue {
		return Errorf(BadTagValue, "a tag value must have at most 43 characters")
	}
	if !tagChars(t.Value) {
		return Errorf(BadTagValChars, `a tag value must not hold control characters or any of = * < > \ , | /`)
	}
	return nil
}

// ValidateTagKey checks a tag key: 1 to 36 characters, none of = * < > \ , | / or ASCII 0 to 31.
func ValidateTagKey(key string) error {
	if n := utf8.RuneCountInString(key); n < 1 || n > maxTagKey {
		return Errorf(BadTagKey, "a tag key must have 1 to 36 characters")
	}
	if !tagChars(key) {
		return Errorf(BadTagKeyChars, `a tag key must not hold control characters or any of = * < > \ , | /`)
	}
	return nil
}

func tagChars(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r < 32 || strings.ContainsRune(`=*<>\,|/`, r)
	})
}

// TagQuery selects queues by their tags. An entry with no values matches any value.
type TagQuery struct {
	All, Any, NotAll, NotAny []TagValues
	NameContains             string
}

// Validate checks the bounds of a search: at most 10 keys of at most 10 values in
// each list, keys of at most 127 and values of at most 255 characters.
func (q TagQuery) Validate() error {
	for _, list := range [][]TagValues{q.All, q.Any, q.NotAll, q.NotAny} {
		if len(list) > MaxTags {
			return Errorf(TooManyTags, "at most 10 tag keys may be given")
		}
		seen := make(map[string]bool, len(list))
		for _, t := range list {
			if n := utf8.RuneCountInString(t.Key); n < 1 || n > maxSearchTagKey {
				return Errorf(BadTagKey, "a tag key of a search must have 1 to 127 characters")
			}
			if seen[t.Key] {
				return Errorf(DuplicateTag, "tag key %q is given twice", t.Key)
			}
			seen[t.Key] = true
			if len(t.Values) > MaxTags {
				return Errorf(TooManyTags, "at most 10 values may be given for a tag key")
			}
			for _, v := range t.Values {
				if utf8.RuneCountInString(v) > maxSearchTagVal {
					return Errorf(BadTagValue, "a tag value of a search must have at most 255 characters")
				}
			}
		}
	}
	return nil
}

// Matches reports whether a queue with this name and these tags is selected.
func (q TagQuery) Matches(name string, tags []Tag) bool {
	if !strings.Contains(strings.ToLower(name), strings.ToLower(q.NameContains)) {
		return false
	}
	has := func(want TagValues) bool {
		for _, t := range tags {
			if t.Key != want.Key {
				continue
			}
			if len(want.Values) == 0 {
				return true
			}
			for _, v := range want.Values {
				if v == t.Value {
					return true
				}
			}
		}
		return false
	}
	hits := func(list []TagValues) (n int) {
		for _, want := range list {
			if has(want) {
				n++
			}
		}
		return n
	}
	return hits(q.All) == len(q.All) &&
		(len(q.Any) == 0 || hits(q.Any) > 0) &&
		(len(q.NotAll) == 0 || hits(q.NotAll) < len(q.NotAll)) &&
		hits(q.NotAny) == 0
}

// TaggedQueue is one result of a search by tags.
type TaggedQueue struct {
	Queue QueueID
	Name  string
	Tags  []Tag
}

// TagRemoval takes a tag away by key, or by key and value when Value is given.
type TagRemoval struct {
	Key   string
	Value *string
}
