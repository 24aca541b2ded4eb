package dms

import (
	"fmt"
	"strings"
	"testing"
)

func TestTagsAreChecked(t *testing.T) {
	for what, row := range map[string]struct {
		tag  Tag
		want Code
	}{
		"plain":               {Tag{"env", "prod"}, ""},
		"empty value":         {Tag{"env", ""}, ""},
		"empty key":           {Tag{"", "prod"}, BadTagKey},
		"longest, in letters": {Tag{strings.Repeat("é", 36), strings.Repeat("日", 43)}, ""},
		"key too long":        {Tag{strings.Repeat("é", 37), ""}, BadTagKey},
		"value too long":      {Tag{"k", strings.Repeat("日", 44)}, BadTagValue},
		"key and value wrong": {Tag{"=", strings.Repeat("a", 44)}, BadTagKeyChars},
		"spaces and signs":    {Tag{"a b.c:d", "!\"#$%&'()+-;?@[]^_`{}~"}, ""},
		"no UTF-8 in the key": {Tag{"\xff", ""}, BadTagKeyChars},
		"nor in the value":    {Tag{"k", "a\xc3"}, BadTagValChars},
	} {
		wantCode(t, what, row.tag.Validate(), row.want)
	}
	for b := range 128 {
		c := string(rune(b))
		key, value := Code(""), Code("")
		if b < 32 || strings.Contains(`=*<>\,|/`, c) {
			key, value = BadTagKeyChars, BadTagValChars
		}
		wantCode(t, fmt.Sprintf("key with %q", c), ValidateTagKey("a"+c), key)
		wantCode(t, fmt.Sprintf("value with %q", c), Tag{"k", c + "a"}.Validate(), value)
	}
}

func keys(n int) (list []TagValues) {
	for i := range n {
		list = append(list, TagValues{Key: fmt.Sprint("k", i)})
	}
	return list
}

func TestSearchesAreChecked(t *testing.T) {
	for what, row := range map[string]struct {
		list []TagValues
		want Code
	}{
		"none":               {nil, ""},
		"most keys":          {keys(10), ""},
		"too many keys":      {keys(11), TooManyTags},
		"empty key":          {[]TagValues{{Key: ""}}, BadTagKey},
		"longest key":        {[]TagValues{{Key: strings.Repeat("é", 127)}}, ""},
		"key too long":       {[]TagValues{{Key: strings.Repeat("a", 128)}}, BadTagKey},
		"key twice":          {[]TagValues{{Key: "a"}, {Key: "b"}, {Key: "a"}}, DuplicateTag},
		"keys apart by case": {[]TagValues{{Key: "a"}, {Key: "A"}}, ""},
		"most values":        {[]TagValues{{"k", strings.Split("0123456789", "")}}, ""},
		"too many values":    {[]TagValues{{"k", strings.Split("0123456789a", "")}}, TooManyTags},
		"empty value":        {[]TagValues{{"k", []string{""}}}, ""},
		"longest value":      {[]TagValues{{"k", []string{strings.Repeat("é", 255)}}}, ""},
		"value too long":     {[]TagValues{{"k", []string{"v", strings.Repeat("a", 256)}}}, BadTagValue},
	} {
		for where, q := range map[string]TagQuery{
			"all": {All: row.list}, "any": {Any: row.list}, "not all": {NotAll: row.list}, "not any": {NotAny: row.list},
		} {
			wantCode(t, where+" of "+what, q.Validate(), row.want)
		}
	}
	wantCode(t, "a key in two lists", TagQuery{All: keys(1), NotAny: keys(1), Any: keys(10), NotAll: keys(10)}.Validate(), "")
}

func TestASearchSelectsByTagsAndName(t *testing.T) {
	const name = "Orders-EU"
	tags := []Tag{{"env", "prod"}, {"team", "a"}, {"empty", ""}}
	is := func(key string, values ...string) TagValues { return TagValues{Key: key, Values: values} }
	list := func(l ...TagValues) []TagValues { return l }
	env, team, other := is("env", "prod"), is("team", "a"), is("env", "test")
	for what, row := range map[string]struct {
		q    TagQuery
		want bool
	}{
		"nothing asked":               {TagQuery{}, true},
		"part of the name":            {TagQuery{NameContains: "ders"}, true},
		"name in another case":        {TagQuery{NameContains: "ORDERS-eu"}, true},
		"another name":                {TagQuery{NameContains: "order_"}, false},
		"the key":                     {TagQuery{All: list(is("env"))}, true},
		"the key in another case":     {TagQuery{All: list(is("Env"))}, false},
		"part of the key":             {TagQuery{All: list(is("en"))}, false},
		"key and value":               {TagQuery{All: list(env)}, true},
		"one of the values":           {TagQuery{All: list(is("env", "test", "prod"))}, true},
		"none of the values":          {TagQuery{All: list(is("env", "test", "Prod"))}, false},
		"the empty value":             {TagQuery{All: list(is("empty", ""))}, true},
		"an empty value not there":    {TagQuery{All: list(is("env", ""))}, false},
		"all of two":                  {TagQuery{All: list(env, team)}, true},
		"all of two, one missing":     {TagQuery{All: list(env, is("zone"))}, false},
		"any of two, one missing":     {TagQuery{Any: list(is("zone"), team)}, true},
		"any of two, both missing":    {TagQuery{Any: list(is("zone"), other)}, false},
		"not all of two":              {TagQuery{NotAll: list(env, team)}, false},
		"not all of two, one missing": {TagQuery{NotAll: list(env, other)}, true},
		"not any of two":              {TagQuery{NotAny: list(env, other)}, false},
		"not any of two missing":      {TagQuery{NotAny: list(other, is("zone"))}, true},
		"all lists hold":              {TagQuery{All: list(env), Any: list(team), NotAll: list(other), NotAny: list(is("zone")), NameContains: "eu"}, true},
		"all but the name":            {TagQuery{All: list(env), NameContains: "us"}, false},
		"all but one list":            {TagQuery{All: list(env), Any: list(team), NotAny: list(team)}, false},
	} {
		if got := row.q.Matches(name, tags); got != row.want {
			t.Errorf("%s: Matches = %t, want %t", what, got, row.want)
		}
	}
	if !(TagQuery{NotAll: list(env), NotAny: list(team)}).Matches(name, nil) || (TagQuery{Any: list(env)}).Matches(name, nil) {
		t.Error("a queue without tags is selected wrongly")
	}
}
