// Package mapping carries out the operations of the service on the replicated log:
// projects are accounts, queues are streams, groups are durable consumers or
// replicated cursors, and acknowledgements are confirmed by a quorum before they are
// answered. It leaves HTTP, credentials and the servers themselves to others and is
// handed one connection per project.
//
// Files without I/O come in pairs with those that have it: names, config, handle,
// record and cursor say what things are called and how they change; queues, groups,
// send, dispatch, fifo and ack do it.
package mapping
