package keys

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"dms/tenancy/seal"

	"github.com/google/uuid"
	"github.com/nats-io/nkeys"
)

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
	if text, ok := files[fileStore]; ok {
		if s.store, err = parseSealing(string(text)); err != nil {
			return nil, fileStore, err
		}
		if slices.ContainsFunc(s.store, func(k seal.Key) bool { return k.ID == 0 }) {
			return nil, fileStore, errors.New("id 0 is that of the derived key")
		}
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

func parseSealing(text string) ([]seal.Key, error) {
	var out []seal.Key
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
		if slices.ContainsFunc(out, func(k seal.Key) bool { return k.ID == byte(id) }) {
			return nil, fmt.Errorf("id %d is there twice", id)
		}
		out = append(out, seal.Key{ID: byte(id), Secret: [32]byte(b)})
	}
	if len(out) == 0 {
		return nil, errors.New("it has no key")
	}
	return out, nil
}
