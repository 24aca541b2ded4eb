package dms

import "fmt"

// Code says what went wrong, in the service's own terms. facade gives each one
// its status, published number and text; every code has exactly one row there.
type Code string

const (
	// Identifiers and names.
	BadProjectID    Code = "bad_project_id"
	BadQueueID      Code = "bad_queue_id"
	BadGroupID      Code = "bad_group_id"
	BadNameChars    Code = "bad_name_chars"
	BadQueueName    Code = "bad_queue_name_length"
	BadGroupName    Code = "bad_group_name_length"
	BadDescription  Code = "bad_description_length"
	BadDescChars    Code = "bad_description_chars"
	QueueExists     Code = "queue_exists"
	GroupExists     Code = "group_exists"
	QueueNotFound   Code = "queue_not_found"
	GroupNotFound   Code = "group_not_found"
	MessageNotFound Code = "message_not_found"
	JobNotFound     Code = "job_not_found"
	TooManyGroups   Code = "too_many_groups"
	QuotaExceeded   Code = "quota_exceeded"
	BadMaxConsume   Code = "bad_max_consume_count"
	BadRetention    Code = "bad_retention_hours"
	RetentionNotSet Code = "retention_not_settable"

	// Bodies and parameters.
	BadManageBody  Code = "bad_management_body"
	BadMessageJSON Code = "bad_message_json"
	BadFields      Code = "bad_message_fields"
	BadRequest     Code = "bad_request_format"
	BadParameters  Code = "bad_url_parameters"
	MessageTooBig  Code = "message_too_big"
	BadLabel       Code = "bad_label"
	BadLabelMatch  Code = "bad_label_match"
	BadMaxMessages Code = "bad_max_messages"
	BadTimeWait    Code = "bad_time_wait"
	BadAckWait     Code = "bad_ack_wait"
	BadAckStatus   Code = "bad_ack_status"

	// Consuming and acknowledging.
	ConsumeFailed     Code = "consume_failed"
	HandleOfOther     Code = "handle_of_other_group"
	HandleOfOtherKind Code = "handle_of_other_kind"
	HandleInvalid     Code = "handle_invalid"

	// Resource tags.
	BadTagKey      Code = "bad_tag_key_length"
	BadTagKeyChars Code = "bad_tag_key_chars"
	BadTagValue    Code = "bad_tag_value_length"
	BadTagValChars Code = "bad_tag_value_chars"
	BadTagAction   Code = "bad_tag_action"
	BadTagSearch   Code = "bad_tag_search_action"
	BadTagLimit    Code = "bad_tag_limit"
	BadTagOffset   Code = "bad_tag_offset"
	TooManyTags    Code = "too_many_tags"
	DuplicateTag   Code = "duplicate_tag_key"
	TagNotFound    Code = "tag_not_found"

	// Alarms.
	AlarmNotFound Code = "alarm_not_found"

	// Callers.
	TokenInvalid    Code = "token_invalid"
	TokenExpired    Code = "token_expired"
	TokenMissing    Code = "token_missing"
	ProjectMismatch Code = "project_mismatch"
	SignatureBad    Code = "signature_bad"
	AccessDenied    Code = "access_denied"

	// Projects, which only operators see.
	ProjectNotFound Code = "project_not_found"
	ProjectExists   Code = "project_exists"
	// Access keys.
	AccessKeyNotFound Code = "access_key_not_found"
	AccessKeyFixed    Code = "access_key_fixed"
	TooManyAccessKeys Code = "too_many_access_keys"

	// The service itself.
	NoSuchRoute      Code = "no_such_route"
	MethodNotAllowed Code = "method_not_allowed"
	BadEncoding      Code = "unsupported_content_encoding"
	TooManyRequests  Code = "too_many_requests"
	Unavailable      Code = "unavailable" // degraded or unknown outcome: retry
	Internal         Code = "internal"
)

// Error carries a code from where the meaning is first known to the edge.
// Message may be shown to the tenant, Err may not.
type Error struct {
	Code    Code
	Message string // what to tell the caller; empty means the code's own text
	Err     error  // cause, for operators
}

// Errorf returns an error with a code and a message for the caller.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap gives err a code. The caller sees only the code's own text.
func Wrap(code Code, err error) *Error { return &Error{Code: code, Err: err} }

func (e *Error) Error() string {
	switch {
	case e.Err == nil && e.Message == "":
		return string(e.Code)
	case e.Err == nil:
		return string(e.Code) + ": " + e.Message
	case e.Message == "":
		return string(e.Code) + ": " + e.Err.Error()
	}
	return string(e.Code) + ": " + e.Message + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is matches by code, so that errors.Is(err, &dms.Error{Code: c}) works.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && t.Message == "" && t.Err == nil
}
