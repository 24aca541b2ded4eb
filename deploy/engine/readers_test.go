package engine

import (
	"encoding/binary"
	"testing"
)

func readerState(numbers ...uint64) []byte {
	text := []byte{readerMagic, 2}
	for _, n := range numbers {
		text = binary.AppendUvarint(text, n)
	}
	return text
}

func TestDamagedStatesOfConsumersAreTold(t *testing.T) {
	whole := readerState(5, 7, 8, 10, 2, 1000, 1, 1, 0, 3, 3, 1, 0)
	for name, c := range map[string]struct {
		text      []byte
		encrypted bool
		want      bool
	}{
		"whole":                       {whole, false, true},
		"not written yet":             {nil, false, true},
		"one byte":                    {whole[:1], false, false},
		"another file":                {append([]byte{0}, whole[1:]...), false, false},
		"another version":             {append([]byte{readerMagic, 9}, whole[2:]...), false, false},
		"cut short in the numbers":    {whole[:5], false, false},
		"cut short in what is open":   {whole[:len(whole)-4], false, false},
		"a sequence that is none":     {readerState(0, 0, 0, topBit), false, false},
		"an open message without one": {readerState(0, 0, 1, 1, 1, 1000, 0, 1, 0), false, false},
		"encrypted":                   {make([]byte, 64), true, true},
		"encrypted and cut short":     {make([]byte, 20), true, false},
	} {
		if got := wholeReader(c.text, c.encrypted); got != c.want {
			t.Errorf("%s: whole is %t", name, got)
		}
	}
}

func FuzzStatesOfConsumers(f *testing.F) {
	f.Add(readerState(5, 7, 8, 10, 2, 1000, 1, 1, 0, 3, 3, 1, 0))
	f.Fuzz(func(_ *testing.T, text []byte) { // it must come to an end
		wholeReader(text, false)
		wholeReader(text, true)
	})
}
