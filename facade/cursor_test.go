package facade

import "testing"

func FuzzAuditCursors(f *testing.F) {
	f.Add("bjE")
	f.Add(auditCursor(true, 1<<64-1))
	f.Fuzz(func(t *testing.T, s string) {
		oldest, after, ok := parseAuditCursor(s)
		if ok && (after == 0 || auditCursor(oldest, after) != s) {
			t.Errorf("%q is read as %t, %d", s, oldest, after)
		}
	})
}
