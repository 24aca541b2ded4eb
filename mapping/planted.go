package mapping

// fault is a mistake that can be planted into a build, so that tests can show that the
// checks of histories would notice it. Builds without the tag "planted" contain none:
// there planted is a constant, and what depends on it is not compiled.
type fault string

const (
	noFault        fault = ""
	answerEarly    fault = "answer-early"     // a send is answered before it is stored
	skipOne        fault = "skip-one"         // a message of a batch is left out
	leaseOverlap   fault = "lease-overlap"    // a FIFO lease is granted beside a live one
	ackUnawaited   fault = "ack-unawaited"    // an acknowledgement is answered before it is committed
	settleFirst    fault = "settle-first"     // a message is settled before it is a dead letter
	handleUnproven fault = "handle-unchecked" // deadline and use of a handle are not looked at
	tenantShared   fault = "tenant-shared"    // all projects share the first one's account
)
