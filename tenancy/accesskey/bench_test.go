package accesskey

import (
	"testing"
)

// BenchmarkSignature verifies a signed request with a body of 1 KiB in each form.
func BenchmarkSignature(b *testing.B) {
	body := make([]byte, 1<<10)
	for i, f := range forms() {
		scope := []string{"", "20261122///sdk_request", "20261122/eu-de/dms"}[i]
		b.Run([]string{"A", "B", "C"}[i], func(b *testing.B) {
			r := signed(b, f, scope, body)
			v := verifier(b, noon)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.VerifySignature(r, body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
