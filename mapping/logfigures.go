package mapping

import "dms/tenancy"

// LogFigures is what one storage member says of a project's log and of the consumers it
// leads there. Only the leader of a log or of a consumer knows how far it really is.
type LogFigures struct {
	Project   tenancy.ProjectID `json:"p"`
	Name      string            `json:"n"`
	Led       bool              `json:"l,omitempty"` // the member leads the log itself
	Messages  uint64            `json:"m,omitempty"`
	Bytes     uint64            `json:"b,omitempty"`
	First     uint64            `json:"f,omitempty"` // sequence of the oldest message
	Last      uint64            `json:"t,omitempty"`
	FirstAt   int64             `json:"fa,omitempty"` // epoch milliseconds; 0 if there is no message
	LastAt    int64             `json:"ta,omitempty"`
	Consumers []ConsumerFigures `json:"c,omitempty"`
}

// OfQuota reports whether what the log stores counts towards the project's quota: all
// does, but for the audit trail.
func (l LogFigures) OfQuota() bool { return l.Name != auditStream }

// ConsumerFigures is what the leader of a consumer says of it.
type ConsumerFigures struct {
	Name        string `json:"n"`
	Pending     uint64 `json:"p,omitempty"` // never delivered
	Outstanding uint64 `json:"o,omitempty"` // delivered and not acknowledged
	Waiting     uint64 `json:"w,omitempty"` // pulls that wait
	Delivered   uint64 `json:"d,omitempty"` // everything after it was never delivered
	Floor       uint64 `json:"f,omitempty"` // everything up to here is acknowledged
}

// mergeLogs brings together what all members say: each log by its leader's word, with
// the consumers of all of them. One without a leader is there but not Led.
func mergeLogs(logs []LogFigures) map[string]*LogFigures {
	merged := make(map[string]*LogFigures, len(logs))
	for _, l := range logs {
		m := merged[l.Name]
		if m == nil {
			m = &LogFigures{Project: l.Project, Name: l.Name}
			merged[l.Name] = m
		}
		consumers := append(m.Consumers, l.Consumers...)
		if l.Led {
			*m = l
		}
		m.Consumers = consumers
	}
	return merged
}
