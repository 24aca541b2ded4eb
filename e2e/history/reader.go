package history

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// History is what one recorder wrote, in the order of ends.
type History struct {
	Calls []Call
	// Cut reports that the last line was not whole: the recorder died. Calls that were
	// open then are missing.
	Cut bool
}

// ReadAll reads JSON lines. A last line without its end is dropped; any other line that
// cannot be read is an error.
func ReadAll(r io.Reader) (*History, error) {
	h := &History{}
	same := interner{}
	in := bufio.NewReaderSize(r, 1<<20)
	for n := 1; ; n++ {
		line, err := readLine(in)
		if errors.Is(err, io.EOF) {
			h.Cut = len(bytes.TrimSpace(line)) > 0
			return h, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read history: %w", err)
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		var c Call
		if err := json.Unmarshal(line, &c); err != nil {
			return nil, fmt.Errorf("read history: line %d: %w", n, err)
		}
		if c.Start < 0 || c.End < c.Start {
			return nil, fmt.Errorf("read history: line %d: call %d lasts from %v to %v", n, c.ID, c.Start, c.End)
		}
		same.call(&c)
		h.Calls = append(h.Calls, c)
	}
}

// readLine returns a line without copying it when it fits the buffer.
func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	long := bytes.Clone(line)
	rest, err := in.ReadBytes('\n')
	return append(long, rest...), err
}

// interner keeps one copy of strings that repeat in most lines.
type interner map[string]string

func (in interner) one(s *string) {
	if known, ok := in[*s]; ok {
		*s = known
		return
	}
	in[*s] = *s
}

func (in interner) call(c *Call) {
	op := string(c.Op)
	in.one(&op)
	c.Op = Op(op)
	for _, s := range []*string{&c.Client, &c.Node, &c.Tenant, &c.Queue, &c.Group, &c.Code} {
		in.one(s)
	}
	for i := range c.Items {
		b := &c.Items[i].Body
		in.one(&b.Tenant)
		in.one(&b.Queue)
		in.one(&b.Producer)
	}
}
