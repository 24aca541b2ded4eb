package history

import (
	"encoding/binary"
	"errors"
	"fmt"

	"dms/mapping/dms"
	"dms/monitor/sample"

	"github.com/google/uuid"
)

// A stored frame is a version byte, the number of rows, and for each row: the queue's id
// (16 bytes), a byte that says whether it is a group and then that group's id, the number
// of values, and the values. Numbers are varints; a value is 0 when it is missing and
// otherwise one more than its zig-zag form.
const version = 1

// most rows and values a frame may claim to have, far above what a project can.
const (
	maxRows   = 1 << 20
	maxValues = 1 << 10
)

var errFrame = errors.New("a stored sample is damaged")

// encode returns the stored form of the rows.
func encode(rows []sample.Row) ([]byte, error) {
	b := make([]byte, 0, 16+len(rows)*64)
	b = append(b, version)
	b = binary.AppendUvarint(b, uint64(len(rows)))
	for _, r := range rows {
		queue, err := uuid.Parse(string(r.Queue))
		if err != nil {
			return nil, fmt.Errorf("encode sample: queue %q: %w", r.Queue, err)
		}
		b = append(b, queue[:]...)
		if r.Group == "" {
			b = append(b, 0)
		} else {
			group, err := uuid.Parse(string(r.Group[min(2, len(r.Group)):]))
			if err != nil {
				return nil, fmt.Errorf("encode sample: group %q: %w", r.Group, err)
			}
			b = append(append(b, 1), group[:]...)
		}
		b = binary.AppendUvarint(b, uint64(len(r.Values)))
		for _, v := range r.Values {
			if v == sample.Missing {
				b = append(b, 0)
				continue
			}
			b = binary.AppendUvarint(b, (uint64(v)<<1^uint64(v>>63))+1)
		}
	}
	return b, nil
}

// decode passes the rows of a stored frame to f. The values are only valid during the
// call.
func decode(b []byte, f func(sample.Row)) error {
	if len(b) == 0 || b[0] != version {
		return fmt.Errorf("%w: unknown version", errFrame)
	}
	d := decoder{b: b[1:]}
	var values []int64
	for range d.count(maxRows) {
		row := sample.Row{Key: sample.Key{Queue: dms.QueueID(d.id())}}
		switch d.byte() {
		case 0:
		case 1:
			row.Group = dms.GroupID("g-" + d.id())
		default:
			d.bad = true
		}
		values = values[:0]
		for range d.count(maxValues) {
			switch u := d.uvarint(); u {
			case 0:
				values = append(values, sample.Missing)
			default:
				u--
				values = append(values, int64(u>>1)^-int64(u&1))
			}
		}
		if d.bad {
			return errFrame
		}
		row.Values = values
		f(row)
	}
	if d.bad || len(d.b) > 0 {
		return errFrame
	}
	return nil
}

// decoder takes a stored frame apart; bad tells that it ended early or lied.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) take(n int) []byte {
	if d.bad || len(d.b) < n {
		d.bad = true
		return make([]byte, n)
	}
	head := d.b[:n]
	d.b = d.b[n:]
	return head
}

func (d *decoder) byte() byte { return d.take(1)[0] }

func (d *decoder) id() string { return uuid.UUID(d.take(16)).String() }

func (d *decoder) uvarint() uint64 {
	if d.bad {
		return 0
	}
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

// count is a number of things that follow, each of at least a byte.
func (d *decoder) count(most uint64) uint64 {
	n := d.uvarint()
	if d.bad || n > most || n > uint64(len(d.b)) {
		d.bad = d.bad || n > 0
		return 0
	}
	return n
}
