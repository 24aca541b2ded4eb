package engine

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"dms/tenancy/seal"
)

const identityFile = "member.json"

// identity marks a data folder, so that a member never starts on the data of another:
// its peers would then count one store as two.
type identity struct {
	Cluster string `json:"cluster"`
	Name    string `json:"name"`
	// Encrypted is for the life of the folder. A server with a key would go on with plain
	// files, and one without takes what it cannot read for damage and drops it.
	Encrypted bool `json:"encrypted,omitempty"`
	// Key is the id of the key for it, for as long: see DESIGN.md.
	Key byte `json:"key,omitempty"`
}

// claim checks the mark of the data folder, or leaves one in an empty folder. It returns
// the mark, whose key may be an older one.
func (want identity) claim(dir string) (identity, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return identity{}, fmt.Errorf("make data folder: %w", err)
	}
	path := filepath.Join(dir, identityFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return want, want.mark(dir, path)
	}
	if err != nil {
		return identity{}, fmt.Errorf("read identity of the data folder: %w", err)
	}
	var have identity
	if err := json.Unmarshal(data, &have); err != nil {
		return identity{}, refuse(ErrForeignData, "%s is damaged: %v", path, err)
	}
	if have.Cluster != want.Cluster {
		return identity{}, refuse(ErrForeignData, "%s holds data of the cluster %s, this is %s", dir, have.Cluster, want.Cluster)
	}
	if have.Name != want.Name {
		return identity{}, refuse(ErrForeignData, "%s holds data of the member %s, this is %s", dir, have.Name, want.Name)
	}
	switch {
	case have.Encrypted && !want.Encrypted:
		return identity{}, refuse(ErrEncrypted, "%s holds encrypted data, and encryption is off", dir)
	case want.Encrypted && !have.Encrypted:
		return identity{}, refuse(ErrEncrypted, "%s holds data that is not encrypted, and encryption is on: start with an empty folder", dir)
	}
	return have, nil
}

// storeKey is the secret, as text, for a data folder; "" is without encryption.
func (have identity) storeKey(dir string, all []seal.Key) (string, error) {
	if !have.Encrypted {
		return "", nil
	}
	for _, k := range all {
		if k.ID == have.Key {
			return hex.EncodeToString(k.Secret[:]), nil
		}
	}
	return "", refuse(ErrEncrypted, "%s is encrypted under the key %d, which is not among the keys", dir, have.Key)
}

func (want identity) mark(dir, path string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("look at data folder: %w", err)
	}
	for _, e := range entries {
		// A mark cut short by a crash, and what a fresh file system brings along.
		if e.Name() != identityFile+".new" && e.Name() != "lost+found" {
			return refuse(ErrForeignData, "%s is not empty and not marked as a member's", dir)
		}
	}
	data, err := json.Marshal(want)
	if err != nil {
		return fmt.Errorf("mark data folder: %w", err)
	}
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("mark data folder: %w", err)
	}
	_, err = f.Write(append(data, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("mark data folder: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("mark data folder: %w", err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("mark data folder: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("mark data folder: %w", err)
	}
	return nil
}

// budget returns the bytes for streams: what the options say, or this member's share
// of 65 % of the disk. The rest is for logs and snapshots, which the server's own limit
// does not count, and for the margin below which a full disk stops the whole cluster.
func (o Options) budget() (int64, error) {
	least := o.MinStore
	if least == 0 {
		least = defaultMinStore
	}
	budget := o.MaxStore
	if budget == 0 {
		var fs syscall.Statfs_t
		if err := syscall.Statfs(o.Dir, &fs); err != nil {
			return 0, fmt.Errorf("look at the disk: %w", err)
		}
		budget = share(int64(fs.Blocks)*fs.Bsize, o.SharedBy)
	}
	if budget < least {
		return 0, refuse(ErrDiskTooSmall, "%s leaves %d MiB for messages, want at least %d MiB", o.Dir, budget>>20, least>>20)
	}
	return budget, nil
}

// freeBytes is what may still be written to the disk of a folder.
func freeBytes(dir string) (int64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return 0, fmt.Errorf("look at the disk: %w", err)
	}
	return int64(fs.Bavail) * fs.Bsize, nil
}

func share(disk int64, members int) int64 {
	return disk / 100 * 65 / int64(max(members, 1))
}
