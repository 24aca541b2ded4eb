package deploy

import (
	"runtime"
	"runtime/debug"
)

// BuildInfo says what this binary is made of.
type BuildInfo struct {
	Version  string `json:"version"`  // of the module, with the revision where it has no release
	Revision string `json:"revision"` // commit, with "+dirty" when files were changed
	Go       string `json:"go"`
	Storage  string `json:"storage"` // version of the embedded nats-server
}

// Build reads what the linker has written into the binary.
func Build() BuildInfo {
	b := BuildInfo{Version: "unknown", Revision: "unknown", Go: runtime.Version(), Storage: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	dirty := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			b.Revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+dirty"
		}
	}
	b.Revision += dirty
	for _, d := range info.Deps {
		if d.Path == "github.com/nats-io/nats-server/v2" {
			b.Storage = d.Version
		}
	}
	return b
}
