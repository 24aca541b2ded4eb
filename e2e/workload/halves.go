package workload

import (
	"context"
	"fmt"
	"net"
	"strings"

	"dms/e2e/history"
)

// Halves begins so many sends at a node and breaks off in the header or the body of each.
// Nothing of them may ever be stored, so the history knows nothing of them and would take
// what came of one for a phantom.
func (w *World) Halves(ctx context.Context, node, count int) error {
	t := w.tenants[0]
	c := w.caller(t, "halves-%d", node)
	dialer := net.Dialer{Timeout: dialLimit}
	for range count {
		q := t.queues[c.rng.IntN(len(t.queues))]
		text, err := history.Make(history.Body{Tenant: t.id, Queue: q.id, Producer: c.name, Seq: 1, Nonce: history.NewNonce()}, 200)
		if err != nil {
			return err
		}
		body := fmt.Sprintf(`{"messages":[{"body":%s}]}`, text)
		host := strings.TrimPrefix(w.nodes.url(node), "http://")
		request := fmt.Sprintf("POST /v2/%s/queues/%s/messages HTTP/1.1\r\nHost: %s\r\nX-Auth-Token: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
			t.id, q.id, host, t.token, len(body), body)
		conn, err := dialer.DialContext(ctx, "tcp", host)
		if err != nil {
			return err
		}
		// Half of them end in the last bytes, where nearly everything has come.
		most := len(request) - 1
		if c.chance(.5) {
			most = 100
		}
		_, err = conn.Write([]byte(request[:len(request)-1-c.rng.IntN(most)]))
		if closing := conn.Close(); err == nil {
			err = closing
		}
		if err != nil {
			return err
		}
	}
	return nil
}
