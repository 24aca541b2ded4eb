package keys

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nkeys"
)

// What can be wrong with a folder of keys. Init and Load wrap them in a sentence that
// names the file.
var (
	ErrExists  = errors.New("key material is already there and is never overwritten")
	ErrMissing = errors.New("key material is missing")
	ErrExposed = errors.New("key material can be read by other users")
	ErrCorrupt = errors.New("key material is damaged")
)

// Names of the files. All are text, so that they survive copying by hand.
const (
	fileCluster  = "cluster.id"
	fileOperator = "operator.seed"
	fileSigning  = "signing.seed"
	fileSystem   = "system.seed"
	fileMaster   = "master.secret"
	fileSealing  = "sealing.keys" // one "id hexadecimal-key" per line, newest first
	fileStore    = "store.keys"   // the same; absent until the first rotation
	fileCA       = "route-ca.pem"
	fileCAKey    = "route-ca.key" // only to make further certificates; Load does not read it
	fileCert     = "route.pem"
	fileCertKey  = "route.key"
)

// Init makes the key material of a new cluster in dir, which it creates (mode 0700)
// when absent. It returns ErrExists, wrapped, when dir holds any part of a set. The
// set appears whole or not at all.
func Init(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make key folder: %w", err)
	}
	for _, name := range names() {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return fmt.Errorf("%s: %w", filepath.Join(dir, name), ErrExists)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("look at key folder: %w", err)
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("protect key folder: %w", err)
	}
	files, err := generate(time.Now())
	if err != nil {
		return err
	}
	// The cluster's id comes last: without it Load refuses, so that a set cut short by
	// a crash is never used.
	for i, name := range names() {
		if err := writeNew(filepath.Join(dir, name), files[name]); err != nil {
			for _, written := range names()[:i] {
				err = errors.Join(err, os.Remove(filepath.Join(dir, written)))
			}
			return err
		}
	}
	return syncDir(dir)
}

// names lists the files in the order in which they are written.
func names() []string {
	return []string{fileOperator, fileSigning, fileSystem, fileMaster, fileSealing,
		fileCA, fileCAKey, fileCert, fileCertKey, fileCluster}
}

func generate(now time.Time) (map[string][]byte, error) {
	files := make(map[string][]byte)
	for name, prefix := range map[string]nkeys.PrefixByte{
		fileOperator: nkeys.PrefixByteOperator, fileSigning: nkeys.PrefixByteOperator, fileSystem: nkeys.PrefixByteAccount,
	} {
		pair, err := nkeys.CreatePair(prefix)
		if err != nil {
			return nil, fmt.Errorf("make %s: %w", name, err)
		}
		seed, err := pair.Seed()
		if err != nil {
			return nil, fmt.Errorf("make %s: %w", name, err)
		}
		files[name] = append(seed, '\n')
	}
	files[fileMaster] = []byte(randomHex() + "\n")
	files[fileSealing] = []byte("1 " + randomHex() + "\n")
	route, err := newRouteFiles(now)
	if err != nil {
		return nil, err
	}
	files[fileCA], files[fileCAKey], files[fileCert], files[fileCertKey] = route.caCert, route.caKey, route.cert, route.key
	files[fileCluster] = []byte(uuid.NewString() + "\n")
	return files, nil
}

func randomHex() string {
	var b [secretLen]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(b[:])
}

func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write key material: %w", err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return errors.Join(fmt.Errorf("write key material: %w", err), os.Remove(path))
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync key folder: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync key folder: %w", err)
	}
	return nil
}

// Load reads the key material of a cluster. It returns ErrMissing, ErrExposed or
// ErrCorrupt, wrapped in a sentence that names the file and never its content.
func Load(dir string) (*Set, error) {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w: make it with \"dms keys\"", dir, ErrMissing)
	}
	if err != nil {
		return nil, fmt.Errorf("look at key folder: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s: %w: it is not a folder", dir, ErrCorrupt)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s: %w: its mode is %04o, want 0700", dir, ErrExposed, mode)
	}
	files := make(map[string][]byte)
	for _, name := range names() {
		if name == fileCAKey {
			continue
		}
		if files[name], err = read(filepath.Join(dir, name)); err != nil {
			return nil, err
		}
	}
	if text, err := read(filepath.Join(dir, fileStore)); err == nil {
		files[fileStore] = text
	} else if !errors.Is(err, ErrMissing) {
		return nil, err
	}
	s, name, err := parse(files)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", filepath.Join(dir, name), ErrCorrupt, err)
	}
	return s, nil
}

// maxFile bounds what is read of one file, in bytes.
const maxFile = 64 << 10

func read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", path, ErrMissing)
	}
	if err != nil {
		return nil, fmt.Errorf("look at key material: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("%s: %w: it is not a small regular file", path, ErrCorrupt)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s: %w: its mode is %04o, want 0600", path, ErrExposed, mode)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read key material: %w", err)
	}
	return data, nil
}
