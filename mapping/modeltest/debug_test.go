package modeltest

import (
	"fmt"
	"os"
	"strings"
)

func debugStory(w *world) {
	w.note("closed")
	os.MkdirAll("/tmp/model-stories", 0o755)
	name := strings.ReplaceAll(w.tb.Name(), "/", "_")
	f, _ := os.CreateTemp("/tmp/model-stories", fmt.Sprintf("%s-%s-*", name, map[bool]string{true: "ok", false: "BAD"}[w.err == nil]))
	fmt.Fprintln(f, w.story())
	f.Close()
}
