package dms

import "time"

// QueueFigures is the state of a queue and its groups at one moment, for monitoring.
// What could not be learned is left out rather than given as zero: a group that is not
// in Groups has no figures at this moment, which does not mean that it is gone.
type QueueFigures struct {
	Ref      QueueRef
	Name     string
	Mode     Mode
	Messages int64  // retained
	Bytes    int64  // of the retained messages, counted once and not per replica
	First    uint64 // sequence of the oldest retained message
	Last     uint64 // sequence of the newest message ever stored
	Groups   []GroupFigures
	Complete bool // Groups has every group of the queue
	Unknown  bool // nothing but Ref is known: the queue has no leader at this moment
}

// GroupFigures is the state of a consumer group at one moment.
type GroupFigures struct {
	ID          GroupID
	Name        string
	Available   int64     // retained messages the group has not settled
	Outstanding int64     // of Available, those handed out or on their way back
	Floor       uint64    // everything up to this sequence is settled or has expired
	Waiting     int64     // consumers that wait for messages of a NORMAL queue, as the log counts them
	Oldest      time.Time // when the oldest unsettled message was stored; zero without one
	DeadMade    int64     // retained dead letters, settled or not
	DeadWaiting int64     // dead letters not yet acknowledged
}
