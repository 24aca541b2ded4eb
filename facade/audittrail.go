package facade

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"dms/mapping/dms"
	"dms/tenancy/audit"
)

// defaultPage is how many records or projects a page has if the caller does not say.
const defaultPage = 50

// auditItem is a record in its place. Its members are those that are stored, so that who
// reads it sees what the hash is about.
type auditItem struct {
	Sequence uint64 `json:"sequence"`
	audit.Record
	Hash []byte `json:"hash"`
}

type auditList struct {
	Records []auditItem `json:"records"`
	Next    string      `json:"next,omitempty"`
}

type auditReport struct {
	Intact  bool        `json:"intact"`
	Records int64       `json:"records"`
	First   uint64      `json:"first"`
	Last    uint64      `json:"last"`
	From    *time.Time  `json:"from,omitempty"`
	To      *time.Time  `json:"to,omitempty"`
	Head    []byte      `json:"head,omitempty"`
	Broken  *auditBreak `json:"broken,omitempty"`
}

type auditBreak struct {
	Sequence uint64 `json:"sequence"`
	Reason   string `json:"reason"`
}

func (a *API) listAudit(c *call) error {
	q, err := c.auditQuery()
	if err != nil {
		return err
	}
	page, err := a.o.Trail.Page(c.ctx(), c.trail(), q)
	if err != nil {
		return unavailable(err)
	}
	list := auditList{Records: make([]auditItem, len(page.Entries))}
	for i, e := range page.Entries {
		list.Records[i] = auditItem{Sequence: e.Sequence, Record: e.Record, Hash: e.Hash}
	}
	if page.Next > 0 {
		list.Next = auditCursor(q.OldestFirst, page.Next)
	}
	return c.encode(http.StatusOK, list)
}

func (a *API) verifyAudit(c *call) error {
	r, err := a.o.Trail.Verify(c.ctx(), c.trail())
	if err != nil {
		return unavailable(err)
	}
	report := auditReport{Intact: r.Broken == nil, Records: r.Records, First: r.First, Last: r.Last, Head: r.Head}
	if r.Records > 0 {
		report.From, report.To = &r.From, &r.To
	}
	if r.Broken != nil {
		report.Broken = &auditBreak{Sequence: r.Broken.Sequence, Reason: r.Broken.Reason}
	}
	return c.encode(http.StatusOK, report)
}

func (c *call) auditQuery() (q audit.Query, err error) {
	for _, name := range []string{"from", "to", "action", "actor", "order", "cursor"} {
		if _, err := c.one(name); err != nil {
			return q, err
		}
	}
	q.Action, q.Actor = c.query.Get("action"), c.query.Get("actor")
	if q.From, err = c.time("from"); err != nil {
		return q, err
	}
	if q.To, err = c.time("to"); err != nil {
		return q, err
	}
	if q.Limit, err = c.number("limit", defaultPage, 1, audit.MaxPage, dms.BadParameters); err != nil {
		return q, err
	}
	switch c.query.Get("order") {
	case "", "newest":
	case "oldest":
		q.OldestFirst = true
	default:
		return q, dms.Errorf(dms.BadParameters, "order must be newest or oldest")
	}
	if cursor := c.query.Get("cursor"); cursor != "" {
		oldest, after, ok := parseAuditCursor(cursor)
		if !ok || oldest != q.OldestFirst {
			return q, dms.Errorf(dms.BadParameters, "cursor is not one of this list")
		}
		q.After = after
	}
	return q, nil
}

// time reads a moment; absent is the zero time.
func (c *call) time(name string) (time.Time, error) {
	v := c.query.Get(name)
	if v == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, v)
	if err != nil {
		return time.Time{}, dms.Errorf(dms.BadParameters, "%s must be a time such as 2026-01-31T12:00:00Z", name)
	}
	return t, nil
}

// A cursor names the record after which a list goes on, and the direction.
func auditCursor(oldest bool, after uint64) string {
	way := "n"
	if oldest {
		way = "o"
	}
	return base64.RawURLEncoding.EncodeToString([]byte(way + strconv.FormatUint(after, 10)))
}

func parseAuditCursor(s string) (oldest bool, after uint64, ok bool) {
	text, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(text) < 2 {
		return false, 0, false
	}
	after, err = strconv.ParseUint(string(text[1:]), 10, 64)
	if err != nil || after == 0 || !strings.ContainsRune("no", rune(text[0])) {
		return false, 0, false
	}
	oldest = text[0] == 'o'
	return oldest, after, s == auditCursor(oldest, after)
}
