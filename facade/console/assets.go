package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// The application is built before the program, see the Makefile. Without that the folder
// holds nothing but a placeholder, and the program builds all the same.
//
//go:embed all:dist
var dist embed.FS

func builtIn() (fs.FS, error) { return fs.Sub(dist, "dist") }

const (
	index = "index.html"
	// assets is the folder of files whose names change with their content.
	assets = "assets/"
	// noncePlace is what index.html has where the nonce of an answer belongs.
	noncePlace = "__CSP_NONCE__"
)

var hashedName = regexp.MustCompile(`^assets/(?:.*/)?[^/]+-[A-Za-z0-9_-]{8,}\.[a-z0-9.]+$`)

// application is the built one, in memory.
type application struct {
	files map[string]file
	page  [][]byte // index.html, cut at the places of the nonce; nil if nothing was built
}

// file is one file of the application, plain and compressed.
type file struct {
	kind      string
	immutable bool
	plain     variant
	packed    []variant // in order of preference
}

type variant struct {
	encoding string // "" is plain
	body     []byte
	tag      string // its ETag
}

func newVariant(encoding string, body []byte) variant {
	sum := sha256.Sum256(append([]byte(encoding+"\n"), body...))
	return variant{encoding, body, `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`}
}

func newApplication(from fs.FS) (*application, error) {
	a := &application{files: make(map[string]file)}
	err := fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(path.Base(name), ".") || strings.HasSuffix(name, ".br") || strings.HasSuffix(name, ".gz") {
			return err
		}
		body, err := fs.ReadFile(from, name)
		if err != nil {
			return err
		}
		if name == index {
			a.page = bytes.Split(body, []byte(noncePlace))
			return nil
		}
		f := file{kind: kindOf(name), immutable: hashedName.MatchString(name), plain: newVariant("", body)}
		for _, packed := range []struct{ encoding, ending string }{{"br", ".br"}, {"gzip", ".gz"}} {
			body, err := fs.ReadFile(from, name+packed.ending)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			f.packed = append(f.packed, newVariant(packed.encoding, body))
		}
		a.files[name] = f
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the application: %w", err)
	}
	return a, nil
}

// kindOf does not ask the machine, which may know other types or none.
func kindOf(name string) string {
	switch path.Ext(name) {
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".html":
		return "text/html; charset=utf-8"
	case ".txt":
		return "text/plain; charset=utf-8"
	case ".json", ".map":
		return "application/json"
	case ".webmanifest":
		return "application/manifest+json"
	case ".svg":
		return "image/svg+xml"
	case ".png":
		return "image/png"
	case ".ico":
		return "image/x-icon"
	case ".woff2":
		return "font/woff2"
	}
	return "application/octet-stream"
}

// file serves the application: its files, and its one page for every path that is a page.
func (c *Console) file(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, Path)
	f, known := c.app.files[name]
	switch {
	case known:
		f.serve(w, r)
	case strings.HasPrefix(name, assets), path.Ext(name) != "" && name != index:
		c.problem(w, http.StatusNotFound, "no_such_file", "the console has no such file", nil)
	case c.app.page == nil:
		c.show(w, http.StatusOK, message{
			Title: "The console was not built",
			Text:  "This program was built without its console. The API works all the same.",
			Hint:  "To get the console, install Node.js 20.19 or newer, run “make console” and then “make build”, and start the service again.",
		})
	default:
		nonce := policy(w)
		h := w.Header()
		h.Set("Content-Type", kindOf(index))
		h.Set("Cache-Control", "no-cache")
		body := bytes.Join(c.app.page, []byte(nonce))
		h.Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body) // a client that does not take it is no error of ours
	}
}

func (f file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	v := f.plain
	if len(f.packed) > 0 {
		h.Set("Vary", "Accept-Encoding")
		for _, p := range f.packed {
			if accepts(r.Header.Values("Accept-Encoding"), p.encoding) {
				v = p
				h.Set("Content-Encoding", p.encoding)
				break
			}
		}
	}
	h.Set("Content-Type", f.kind)
	h.Set("ETag", v.tag)
	h.Set("Cache-Control", "no-cache")
	if f.immutable {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	for _, tags := range r.Header.Values("If-None-Match") {
		if strings.Contains(tags, v.tag) {
			h.Del("Content-Encoding")
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(v.body)))
	_, _ = w.Write(v.body) // a client that does not take it is no error of ours
}

// accepts reports whether Accept-Encoding permits the encoding, which it does if it names
// it, or "*", with a weight that is not zero.
func accepts(values []string, encoding string) bool {
	any := false
	for _, value := range values {
		for part := range strings.SplitSeq(value, ",") {
			name, weight, _ := strings.Cut(part, ";")
			name = strings.ToLower(strings.TrimSpace(name))
			if name != encoding && name != "*" {
				continue
			}
			good := true
			if q, ok := strings.CutPrefix(strings.ToLower(strings.ReplaceAll(weight, " ", "")), "q="); ok {
				f, err := strconv.ParseFloat(q, 64)
				good = err == nil && f > 0
			}
			if name == encoding {
				return good
			}
			any = good
		}
	}
	return any
}
