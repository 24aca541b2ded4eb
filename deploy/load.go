package deploy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"

	"go.yaml.in/yaml/v3"
)

// maxConfigFile bounds what Load reads.
const maxConfigFile = 1 << 20

// Load reads a configuration file over the defaults and validates it. An unknown key,
// a key given twice and a second document are errors that name the line.
func Load(path string) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfigFile+1))
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	if len(data) > maxConfigFile {
		return Config{}, fmt.Errorf("configuration %s: larger than %d bytes", path, maxConfigFile)
	}
	c, err := parse(data)
	if err != nil {
		return Config{}, fmt.Errorf("configuration %s: %w", path, err)
	}
	folder, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	c.resolve(folder)
	if err := c.Validate(); err != nil {
		return Config{}, fmt.Errorf("configuration %s: %w", path, err)
	}
	return c, nil
}

func parse(data []byte) (Config, error) {
	c := Default()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil {
		if errors.Is(err, io.EOF) {
			return Config{}, errors.New("the file is empty")
		}
		return Config{}, plainYAML(err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return Config{}, errors.New("the file holds more than one document")
	}
	return c, nil
}

// plainYAML says "unknown key" where the parser speaks of Go types.
func plainYAML(err error) error {
	typed, ok := errors.AsType[*yaml.TypeError](err)
	if !ok {
		return err
	}
	unknown := regexp.MustCompile(`^(line \d+): field (\S+) not found in type \S+$`)
	already := regexp.MustCompile(`^(line \d+): field (\S+) already set in type \S+$`)
	var all []error
	for _, text := range typed.Errors {
		text = unknown.ReplaceAllString(text, `$1: unknown key "$2"`)
		text = already.ReplaceAllString(text, `$1: key "$2" is given twice`)
		all = append(all, errors.New(text))
	}
	return errors.Join(all...)
}

// resolve makes the paths of a configuration absolute.
func (c *Config) resolve(folder string) {
	paths := []*string{&c.DataFolder, &c.KeysFolder, &c.API.TLSCertFile, &c.API.TLSKeyFile, &c.API.ClientCAFile}
	for i := range c.IdentityProviders {
		paths = append(paths, &c.IdentityProviders[i].CAFile)
		if k := c.IdentityProviders[i].Console; k != nil {
			paths = append(paths, &k.ClientSecretFile)
		}
	}
	for i := range c.AccessKeys {
		paths = append(paths, &c.AccessKeys[i].SecretFile)
	}
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(folder, *p)
		}
	}
}
