package facade

import (
	"strconv"
	"strings"
	"time"

	"dms/mapping/dms"
)

// Parameters with unknown names are ignored, known ones with bad values refused. A
// parameter without a value counts as absent.

// one returns the value of a parameter that may be given once.
func (c *call) one(name string) (string, error) {
	values := c.query[name]
	if len(values) > 1 {
		return "", dms.Errorf(dms.BadParameters, "%s is given more than once", name)
	}
	if len(values) == 0 {
		return "", nil
	}
	return values[0], nil
}

// flag reads a boolean; some clients write it with a capital letter.
func (c *call) flag(name string, absent bool) (bool, error) {
	v, err := c.one(name)
	switch {
	case err != nil:
		return false, err
	case v == "":
		return absent, nil
	case strings.EqualFold(v, "true"):
		return true, nil
	case strings.EqualFold(v, "false"):
		return false, nil
	}
	return false, dms.Errorf(dms.BadParameters, "%s must be true or false", name)
}

// number reads a whole number between least and most; code is for one that is not.
func (c *call) number(name string, absent, least, most int, code dms.Code) (int, error) {
	v, err := c.one(name)
	if err != nil {
		return 0, err
	}
	if v == "" {
		return absent, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < least || n > most {
		return 0, &dms.Error{Code: code}
	}
	return n, nil
}

// seconds reads a duration in whole seconds.
func (c *call) seconds(name string, absent time.Duration, least, most int, code dms.Code) (time.Duration, error) {
	n, err := c.number(name, int(absent/time.Second), least, most, code)
	return time.Duration(n) * time.Second, err
}

// page returns the part of a list of n that the query asks for. Paging needs both
// parameters; without two good ones the answer is the whole list.
func (c *call) page(n int) (from, to int) {
	size, err1 := strconv.Atoi(c.query.Get("page_size"))
	current, err2 := strconv.Atoi(c.query.Get("current_page"))
	if err1 != nil || err2 != nil || size < 1 || current < 1 {
		return 0, n
	}
	if current-1 > n/size {
		return n, n
	}
	from = min((current-1)*size, n)
	return from, min(from+min(size, n), n)
}
