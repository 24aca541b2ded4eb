package facade

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"dms/mapping/dms"
)

// published is how one code appears outside: the numbers are those that clients of
// the service have always matched on.
type published struct {
	code     dms.Code
	status   int
	number   int
	prefix   string // what stands before the number in error_code
	sentence string // for a caller who is told nothing more particular
}

// text is the code in the form of current clients, for example "DMS.10240017".
func (p published) text() string { return p.prefix + p.digits() }

func (p published) digits() string {
	if p.prefix == gateway {
		return "0" + strconv.Itoa(p.number) // gateway codes have four digits
	}
	return strconv.Itoa(p.number)
}

const (
	service = "DMS."
	gateway = "APIGW."
)

// table returns the one table of errors. Every dms.Code has exactly one row.
func table() []published {
	return []published{
		{dms.BadProjectID, 400, 10240005, service, "the project ID must be 32 lower-case hexadecimal digits"},
		{dms.BadQueueID, 400, 10240015, service, "the queue ID is malformed"},
		{dms.BadGroupID, 400, 10240016, service, "the consumer group ID is malformed"},
		{dms.BadNameChars, 400, 10240007, service, "the name may hold only letters, digits, hyphens and underscores"},
		{dms.BadQueueName, 400, 10240011, service, "the queue name must have 1 to 64 characters"},
		{dms.BadGroupName, 400, 10240012, service, "the consumer group name must have 1 to 32 characters"},
		{dms.BadDescription, 400, 10240013, service, "the description must have at most 160 characters"},
		{dms.BadDescChars, 400, 10240010, service, "the description must not contain < or >"},
		{dms.QueueExists, 400, 10240017, service, "a queue with this name exists already"},
		{dms.GroupExists, 400, 10240018, service, "a consumer group with this name exists already in the queue"},
		{dms.QueueNotFound, 404, 10240401, service, "the queue does not exist"},
		{dms.GroupNotFound, 404, 10240405, service, "the consumer group does not exist"},
		{dms.MessageNotFound, 404, 10240411, service, "the queue has no such message"},
		{dms.JobNotFound, 404, 10240412, service, "the project has no such job"},
		{dms.TooManyGroups, 400, 10240019, service, "the queue cannot have that many consumer groups"},
		{dms.QuotaExceeded, 400, 10240020, service, "the quota of the project is used up"},
		{dms.BadMaxConsume, 400, 10240022, service, "max_consume_count must be 1 to 100"},
		{dms.BadRetention, 400, 10240027, service, "retention_hours must be a whole number from 1 to 72"},
		{dms.RetentionNotSet, 400, 10240028, service, "retention_hours cannot be set for NORMAL and FIFO queues: they keep messages for 72 hours"},

		{dms.BadManageBody, 400, 10240009, service, "the request body is not what this operation takes"},
		{dms.BadMessageJSON, 400, 10540012, service, "the request body is not valid JSON"},
		{dms.BadFields, 400, 10540001, service, "the request body has members that this operation does not take"},
		{dms.BadRequest, 400, 10540010, service, "the request is not what this operation takes"},
		{dms.BadParameters, 400, 10540014, service, "the URL has a parameter with a value that it cannot have"},
		{dms.MessageTooBig, 400, 10540011, service, "the messages are larger than 524288 bytes"},
		{dms.BadLabel, 400, 10240004, service, "a message can have at most 3 tags, each of 1 to 64 letters, digits, hyphens and underscores"},
		{dms.BadLabelMatch, 400, 10550035, service, "tag_type must be or, or and"},
		{dms.BadMaxMessages, 400, 10240014, service, "max_msgs must be 1 to 10"},
		{dms.BadTimeWait, 400, 10240021, service, "time_wait must be 1 to 60 seconds"},
		{dms.BadAckWait, 400, 10542206, service, "ack_wait must be 15 to 300 seconds"},
		{dms.BadAckStatus, 400, 10540003, service, "status must be success or fail"},

		{dms.ConsumeFailed, 400, 10542204, service, "the messages cannot be consumed like this"},
		{dms.HandleOfOther, 400, 10540004, service, "a handler belongs to another queue or consumer group"},
		{dms.HandleOfOtherKind, 400, 10542205, service, "a handler of messages was used for dead letters, or the other way round"},
		{dms.HandleInvalid, 400, 10542209, service, "a handler is not valid: it is unknown, expired or already used"},

		{dms.BadTagKey, 400, 10240035, service, "a tag key must have 1 to 36 characters"},
		{dms.BadTagKeyChars, 400, 10240036, service, `a tag key must not hold control characters or any of = * < > \ , | /`},
		{dms.BadTagValue, 400, 10240038, service, "a tag value must have at most 43 characters"},
		{dms.BadTagValChars, 400, 10240039, service, `a tag value must not hold control characters or any of = * < > \ , | /`},
		{dms.BadTagAction, 400, 10240040, service, "action must be create or delete"},
		{dms.BadTagSearch, 400, 10240041, service, "action must be filter or count"},
		{dms.BadTagLimit, 400, 10240042, service, "limit must be 1 to 1000"},
		{dms.BadTagOffset, 400, 10240043, service, "offset must be 0 or more"},
		{dms.TooManyTags, 400, 10240044, service, "a queue can have at most 10 tags"},
		{dms.DuplicateTag, 400, 10240045, service, "a tag key is given twice"},
		{dms.TagNotFound, 404, 10240426, service, "the queue has no tag with this key"},

		{dms.AlarmNotFound, 404, 10240441, service, "the alarm does not exist"},

		{dms.TokenInvalid, 401, 10240101, service, "the token is not valid"},
		{dms.TokenExpired, 401, 10240102, service, "the token has expired"},
		{dms.TokenMissing, 401, 10240103, service, "the request carries no token and no signature"},
		{dms.ProjectMismatch, 401, 10240104, service, "the credential is not one of this project"},
		{dms.SignatureBad, 401, 301, gateway, "the signature of the request is not valid"},
		{dms.AccessDenied, 403, 10240311, service, "the caller's role does not permit this operation"},

		{dms.ProjectNotFound, 404, 10240406, service, "the project does not exist"},
		{dms.ProjectExists, 409, 10240017, service, "the project exists already"},
		// Numbers of our own, outside of the published ranges.
		{dms.AccessKeyNotFound, 404, 10240601, service, "the access key does not exist"},
		{dms.AccessKeyFixed, 403, 10240602, service, "the access key is in the configuration of the service: only its operator can change it"},
		{dms.TooManyAccessKeys, 400, 10240603, service, "a project can have at most 100 access keys"},

		{dms.NoSuchRoute, 404, 10240406, service, "there is nothing at this URL"},
		{dms.MethodNotAllowed, 405, 10240406, service, "this URL does not take this method"},
		{dms.BadEncoding, 415, 10540010, service, "request bodies must not be compressed or otherwise encoded"},
		{dms.TooManyRequests, 429, 10240407, service, "too many requests: wait and repeat the request"},
		{dms.Unavailable, 503, 10250005, service, "the service cannot answer for certain at the moment: repeat the request"},
		{dms.Internal, 500, 10250003, service, "the service failed; the request ID helps its operator to find out why"},
	}
}

// errorTable finds rows by code.
type errorTable map[dms.Code]published

func newErrorTable() errorTable {
	rows := table()
	t := make(errorTable, len(rows))
	for _, row := range rows {
		t[row.code] = row
	}
	return t
}

// lookup translates an error for the caller: what is published of it and the sentence
// to say. It is the only place where errors become statuses.
func (t errorTable) lookup(err error) (published, string) {
	row := t[dms.Internal]
	if e, ok := errors.AsType[*dms.Error](err); ok {
		if known, ok := t[e.Code]; ok {
			row = known
		}
		if e.Message != "" && row.code == e.Code {
			return row, e.Message
		}
	} else if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		row = t[dms.Unavailable] // we stopped waiting; the effect is unknown
	}
	return row, row.sentence
}

// cause is the part of err that only operators may see, nil if there is none.
func cause(err error) error {
	if e, ok := errors.AsType[*dms.Error](err); ok {
		return e.Err
	}
	return err
}

// retryAfter is what callers are asked to wait for, in seconds, where nothing more
// particular is known. It is short since most limits count running requests.
const retryAfter = "1"

// writeError answers with the five strings of every error. All members are strings
// because the official client gives up on a body with any other kind in it.
func (a *API) writeError(w http.ResponseWriter, r *http.Request, err error) {
	row, sentence := a.errors.lookup(err)
	ev := eventOf(r.Context())
	ev.code, ev.cause = row.text(), cause(err)
	ev.gone = r.Context().Err() != nil
	setErrorHeaders(w.Header(), row.status)
	switch {
	case isOperators(r):
		writeProblem(w, row, sentence, ev.requestID)
		return
	case ev.keystone:
		_ = writeJSON(w, row.status, keystoneError(row.status, sentence))
		return
	}
	body := make([]byte, 0, 256)
	body = append(body, `{"error_code":"`...)
	body = append(body, row.text()...)
	body = append(body, `","error_msg":`...)
	body = appendString(body, sentence)
	body = append(body, `,"code":"`...)
	body = append(body, row.codeString()...)
	body = append(body, `","message":`...)
	body = appendString(body, sentence)
	body = append(body, `,"request_id":`...)
	body = appendString(body, ev.requestID)
	body = append(body, '}')

	// The client may be gone; the event line tells the status all the same.
	_ = writeJSON(w, row.status, body)
}

func setErrorHeaders(h http.Header, status int) {
	switch status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Bearer")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if h.Get("Retry-After") == "" { // a limit may know better
			h.Set("Retry-After", retryAfter)
		}
	}
}

// keystoneError is the body that clients of OpenStack's identity service read.
func keystoneError(status int, sentence string) []byte {
	body := strconv.AppendInt([]byte(`{"error":{"code":`), int64(status), 10)
	body = append(body, `,"message":`...)
	body = appendString(body, sentence)
	body = append(body, `,"title":`...)
	body = appendString(body, http.StatusText(status))
	return append(body, `}}`...)
}

// codeString is the code in the form of older clients: the number alone, except for
// gateway codes, whose number means nothing without its prefix.
func (p published) codeString() string {
	if p.prefix == gateway {
		return p.text()
	}
	return p.digits()
}
