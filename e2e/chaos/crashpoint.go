package chaos

import (
	"context"
	"fmt"
	"regexp"
	"time"
)

// Points of a request at which a crashing build kills itself.
var (
	sendPoints    = []string{"send-before", "send-between", "send-after"}
	consumePoints = []string{"receive", "ack", "dead"}
)

// crashes are the places of the points in the source.
func crashes(name string) []change {
	if name != crashing {
		return nil
	}
	before := func(file, place, point string) change {
		return change{file, regexp.MustCompile(regexp.QuoteMeta(place)), fmt.Sprintf("crash(%q)\n%s", point, place)}
	}
	return []change{
		{"mapping/planted_off.go", regexp.MustCompile(`package mapping\n`), `package mapping

import (
	"math/rand/v2"
	"os"
	"syscall"
)

var crashAt = os.Getenv("` + crashVariable + `")

func crash(at string) {
	if crashAt == at && (at == "dead" || rand.IntN(20) == 0) {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}
`},
		before("mapping/send.go", "	calls := make([]*call, len(out))\n	for i, o := range out {", "send-before"),
		before("mapping/send.go", "		calls[i] = c\n", "send-between"),
		before("mapping/send.go", "	sent := make([]dms.Sent, len(out))\n", "send-after"),
		before("mapping/receive.go", "	if !last.IsZero() {\n", "receive"),
		before("mapping/ack.go", "	if q.DeadLetters() && mayHaveDied(", "ack"),
		before("mapping/deadletter.go", "	return s.settle(ctx, ref, delivery)\n}", "dead"),
	}
}

// crashWithin is how long a node is given to come to its point.
const crashWithin = 20 * time.Second

// crashAt runs the leader of a queue until it kills itself at a point of a request.
func crashAt(points []string) func(context.Context, *field) error {
	return func(ctx context.Context, f *field) error {
		n, point := f.leader(), points[f.rng.IntN(len(points))]
		if err := n.stop(ctx); err != nil {
			f.complain("stop of %s: %.600v", n.name, err)
		}
		if err := n.startAs(crashing, crashVariable+"="+point); err != nil {
			return err
		}
		began := time.Now()
		timer := time.NewTimer(crashWithin)
		defer timer.Stop()
		select {
		case <-n.process().Exited():
			f.note("%s ended at %s after %.1fs", n.name, point, time.Since(began).Seconds())
		case <-timer.C:
			f.note("%s did not come to %s", n.name, point)
			if err := n.kill(); err != nil {
				return err
			}
		}
		n.down() // it has ended
		f.hold(ctx, downLeast, downMost)
		return f.back(ctx, n)
	}
}
