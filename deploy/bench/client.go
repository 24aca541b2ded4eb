package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// line is one connection of a client that does no more than it must: the bench shares
// two cores with what it measures, and a comfortable client costs as much as the server.
type line struct {
	conn    net.Conn
	in      *bufio.Reader
	prefix  string // path of the project
	out     []byte
	content []byte
}

func (s *service) line(ctx context.Context) (*line, error) {
	address, prefix, _ := strings.Cut(strings.TrimPrefix(s.base, "http://"), "/")
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &line{conn: conn, in: bufio.NewReaderSize(conn, 32<<10), prefix: "/" + prefix}, nil
}

// lines opens n connections; close closes them all.
func (s *service) lines(ctx context.Context, n int) (all []*line, closeAll func(), err error) {
	closeAll = func() {
		for _, l := range all {
			l.conn.Close() //nolint:errcheck // nothing is on it any more
		}
	}
	for range n {
		l, err := s.line(ctx)
		if err != nil {
			closeAll()
			return nil, nil, err
		}
		all = append(all, l)
	}
	return all, closeAll, nil
}

var errMalformed = errors.New("the answer is not HTTP")

// call does one request. The answer is valid until the next call.
func (l *line) call(method, path string, body []byte) ([]byte, error) {
	l.out = append(l.out[:0], method...)
	l.out = append(l.out, ' ')
	l.out = append(l.out, l.prefix...)
	l.out = append(l.out, path...)
	l.out = append(l.out, " HTTP/1.1\r\nHost: bench\r\nX-Auth-Token: bench\r\nContent-Length: "...)
	l.out = strconv.AppendInt(l.out, int64(len(body)), 10)
	l.out = append(l.out, "\r\n\r\n"...)
	l.out = append(l.out, body...)
	if err := l.conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return nil, err
	}
	if _, err := l.conn.Write(l.out); err != nil {
		return nil, err
	}
	status, length, err := l.head()
	if err != nil {
		return nil, err
	}
	if cap(l.content) < length {
		l.content = make([]byte, length)
	}
	l.content = l.content[:length]
	if _, err := io.ReadFull(l.in, l.content); err != nil {
		return nil, err
	}
	if status >= 300 {
		return nil, fmt.Errorf("%s %s: %d %s", method, path, status, l.content)
	}
	return l.content, nil
}

// head reads the status line and the headers.
func (l *line) head() (status, length int, err error) {
	first, err := l.in.ReadSlice('\n')
	if err != nil {
		return 0, 0, err
	}
	if len(first) < len("HTTP/1.1 200") {
		return 0, 0, errMalformed
	}
	if status, err = strconv.Atoi(string(first[9:12])); err != nil {
		return 0, 0, errMalformed
	}
	length = -1
	for {
		header, err := l.in.ReadSlice('\n')
		if err != nil {
			return 0, 0, err
		}
		header = bytes.TrimRight(header, "\r\n")
		if len(header) == 0 {
			break
		}
		if value, ok := bytes.CutPrefix(header, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, 0, errMalformed
			}
		}
	}
	if length < 0 {
		return 0, 0, errMalformed
	}
	return status, length, nil
}
