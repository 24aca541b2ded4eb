package keys

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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

// parse returns the set, or the name of the file that is wrong. Errors never quote a file.
func parse(files map[string][]byte) (*Set, string, error) {
	s := &Set{}
	id, err := uuid.Parse(strings.TrimSpace(string(files[fileCluster])))
	if err != nil || id == uuid.Nil {
		return nil, fileCluster, errors.New("it is not a UUID")
	}
	s.clusterID = id
	for _, k := range []struct {
		name   string
		prefix nkeys.PrefixByte
		into   *nkeys.KeyPair
	}{
		{fileOperator, nkeys.PrefixByteOperator, &s.operator},
		{fileSigning, nkeys.PrefixByteOperator, &s.signing},
		{fileSystem, nkeys.PrefixByteAccount, &s.system},
	} {
		seed := []byte(strings.TrimSpace(string(files[k.name])))
		prefix, _, err := nkeys.DecodeSeed(seed)
		if err != nil || prefix != k.prefix {
			return nil, k.name, fmt.Errorf("it is not a seed of kind %s", k.prefix)
		}
		if *k.into, err = nkeys.FromSeed(seed); err != nil {
			return nil, k.name, fmt.Errorf("it is not a seed of kind %s", k.prefix)
		}
	}
	if s.master, err = parseSecret(string(files[fileMaster])); err != nil {
		return nil, fileMaster, err
	}
	if s.sealing, err = parseSealing(string(files[fileSealing])); err != nil {
		return nil, fileSealing, err
	}
	s.routeTLS, s.routePin, err = routeConfig(routeFiles{caCert: files[fileCA], cert: files[fileCert], key: files[fileCertKey]})
	if err != nil {
		return nil, fileCert, err
	}
	return s, "", nil
}

func parseSecret(text string) ([]byte, error) {
	b, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return nil, errors.New("it is not hexadecimal")
	}
	if len(b) != secretLen {
		return nil, fmt.Errorf("it has %d bytes, want %d", len(b), secretLen)
	}
	return b, nil
}

func parseSealing(text string) ([]SealingKey, error) {
	var out []SealingKey
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		number, secret, ok := strings.Cut(strings.TrimSpace(line), " ")
		id, err := strconv.ParseUint(number, 10, 8)
		if !ok || err != nil {
			return nil, fmt.Errorf("line %d does not begin with an id from 0 to 255", len(out)+1)
		}
		b, err := parseSecret(secret)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", id, err)
		}
		if slices.ContainsFunc(out, func(k SealingKey) bool { return k.ID == byte(id) }) {
			return nil, fmt.Errorf("id %d is there twice", id)
		}
		out = append(out, SealingKey{ID: byte(id), Key: [32]byte(b)})
	}
	if len(out) == 0 {
		return nil, errors.New("it has no key")
	}
	return out, nil
}
