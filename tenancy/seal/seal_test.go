package seal

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func sealer(t testing.TB, ids ...byte) *Sealer {
	t.Helper()
	var keys []Key
	for _, id := range ids {
		keys = append(keys, Key{ID: id, Secret: [32]byte{id, 1}})
	}
	s, err := New(keys)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestABoxOpensWithItsKeyAndPlaceOnly(t *testing.T) {
	s := sealer(t, 1)
	box := s.Append([]byte("before"), []byte("secret"), []byte("place"))
	if !bytes.HasPrefix(box, []byte("before")) || len(box) != len("before")+len("secret")+Overhead {
		t.Fatalf("box %x", box)
	}
	box = box[len("before"):]
	for name, c := range map[string]struct {
		by    *Sealer
		box   []byte
		place string
		want  error
	}{
		"as it was":            {s, box, "place", nil},
		"after a rotation":     {sealer(t, 2, 1), box, "place", nil},
		"elsewhere":            {s, box, "other", ErrForged},
		"key gone":             {sealer(t, 2), box, "place", ErrKey},
		"another key, same id": {func() *Sealer { s, _ := New([]Key{{ID: 1, Secret: [32]byte{9}}}); return s }(), box, "place", ErrForged},
		"empty":                {s, nil, "place", ErrForged},
		"short":                {s, box[:Overhead-1], "place", ErrForged},
	} {
		plain, err := c.by.Open(c.box, []byte(c.place))
		if !errors.Is(err, c.want) || err == nil && string(plain) != "secret" {
			t.Errorf("%s: %q, %v, want %v", name, plain, err, c.want)
		}
	}
	for i := range box {
		forged := bytes.Clone(box)
		forged[i] ^= 1
		if plain, err := s.Open(forged, []byte("place")); err == nil {
			t.Errorf("with byte %d changed it holds %q", i, plain)
		}
	}
}

func TestTheSameSealedTwiceLooksDifferent(t *testing.T) {
	s := sealer(t, 1)
	if a, b := s.Append(nil, []byte("x"), nil), s.Append(nil, []byte("x"), nil); bytes.Equal(a, b) {
		t.Errorf("twice %x", a)
	}
}

func TestKeysMustBeGivenDistinctAndSecret(t *testing.T) {
	key := Key{ID: 1, Secret: [32]byte{1}}
	for name, keys := range map[string][]Key{"none": nil, "twice": {key, key}, "zeros": {{ID: 2}}} {
		if _, err := New(keys); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestKeysDoNotPrintThemselves(t *testing.T) {
	k := Key{ID: 7, Secret: [32]byte([]byte("top-secret-top-secret-top-secret"))}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("key", "key", k)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("key", "key", k)
	fmt.Fprintf(&log, "%v %+v %#v %s", k, k, k, k)
	for _, leak := range []string{"top-secret", "116", "0x74", "746f"} {
		if strings.Contains(log.String(), leak) {
			t.Errorf("the secret is shown: %s", log.String())
		}
	}
}

func FuzzOpenTakesOnlyWhatWasSealed(f *testing.F) {
	s := sealer(f, 1, 2)
	f.Add(s.Append(nil, []byte("secret"), []byte("other place")))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, box []byte) {
		if plain, err := s.Open(box, []byte("place")); err == nil {
			t.Fatalf("%x opens as %q", box, plain)
		}
	})
}
