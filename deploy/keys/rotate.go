package keys

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Rotated names the keys that can be rotated.
type Rotated string

const (
	// Sealing keys seal handles and tokens.
	Sealing Rotated = "sealing"
	// Store keys encrypt what new data folders hold.
	Store Rotated = "store"
)

// ErrNotRotated is wrapped when a key is asked for that cannot be rotated.
var ErrNotRotated = errors.New("only the keys \"sealing\" and \"store\" are rotated")

// Rotate puts a new key before those of its kind in the folder and returns its id. Those
// remain until somebody takes their lines away. Files are replaced as a whole.
func Rotate(dir string, what Rotated) (id byte, err error) {
	name, ok := map[Rotated]string{Sealing: fileSealing, Store: fileStore}[what]
	if !ok {
		return 0, ErrNotRotated
	}
	s, err := Load(dir) // refuses a folder that is exposed, damaged or not there
	if err != nil {
		return 0, err
	}
	known := s.sealing
	if what == Store {
		if known, err = s.Store(); err != nil {
			return 0, err
		}
	}
	used := map[byte]bool{0: true} // the derived key of the store
	for _, k := range known {
		used[k.ID] = true
	}
	if len(used) == 1<<8 {
		return 0, fmt.Errorf("%s: all ids are taken: remove the lines that nothing needs any more", filepath.Join(dir, name))
	}
	for id = known[0].ID + 1; used[id]; id++ { // after 255 comes 0, which is taken
	}
	path := filepath.Join(dir, name)
	rest, err := read(path)
	if err != nil && !errors.Is(err, ErrMissing) {
		return 0, err
	}
	text := append(fmt.Appendf(nil, "%d %s\n", id, randomHex()), bytes.TrimSpace(rest)...)
	if err := os.Remove(path + ".new"); err != nil && !os.IsNotExist(err) { // of one cut short
		return 0, fmt.Errorf("write key material: %w", err)
	}
	if err := writeNew(path+".new", append(bytes.TrimSpace(text), '\n')); err != nil {
		return 0, err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return 0, fmt.Errorf("write key material: %w", err)
	}
	return id, syncDir(dir)
}
