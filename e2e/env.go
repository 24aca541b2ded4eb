package e2e

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Env is what dev.env tells about a running service.
type Env struct {
	Endpoint string // base URL of the API
	Admin    string // base URL of /livez and its like

	ProviderID  string // of the identity provider, for the exchange of tokens
	Issuer      string
	IDTokenFile string
	Username    string
	Password    string

	// Projects are two that must not know of each other.
	Projects [2]Project
}

// Project is one project with the credentials for it.
type Project struct {
	ID        string
	Name      string
	AccessKey string
	SecretKey string
	Token     string // an access token
}

// ReadEnv reads dev.env. Every variable must be there and must not be empty.
func ReadEnv(file string) (Env, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return Env{}, err
	}
	vars := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && strings.HasPrefix(name, "DMS_") {
			vars[name] = unquote(value)
		}
	}
	var env Env
	one, two := &env.Projects[0], &env.Projects[1]
	var missing []error
	for name, field := range map[string]*string{
		"DMS_ENDPOINT":      &env.Endpoint,
		"DMS_ADMIN":         &env.Admin,
		"DMS_IDP_ID":        &env.ProviderID,
		"DMS_ISSUER":        &env.Issuer,
		"DMS_ID_TOKEN_FILE": &env.IDTokenFile,
		"DMS_USERNAME":      &env.Username,
		"DMS_PASSWORD":      &env.Password,
		"DMS_PROJECT_ID":    &one.ID,
		"DMS_PROJECT_NAME":  &one.Name,
		"DMS_ACCESS_KEY":    &one.AccessKey,
		"DMS_SECRET_KEY":    &one.SecretKey,
		"DMS_TOKEN":         &one.Token,
		"DMS_PROJECT2_ID":   &two.ID,
		"DMS_PROJECT2_NAME": &two.Name,
		"DMS_ACCESS_KEY2":   &two.AccessKey,
		"DMS_SECRET_KEY2":   &two.SecretKey,
		"DMS_TOKEN2":        &two.Token,
	} {
		if *field = vars[name]; *field == "" {
			missing = append(missing, fmt.Errorf("%s has no %s", file, name))
		}
	}
	return env, errors.Join(missing...)
}

// unquote takes the single quotes off a word of the shell.
func unquote(word string) string {
	inner, ok := strings.CutPrefix(word, "'")
	if !ok {
		return word
	}
	inner = strings.TrimSuffix(inner, "'")
	return strings.ReplaceAll(inner, `'\''`, "'")
}
