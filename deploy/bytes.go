package deploy

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bytes is a size. In a file it is a whole number, with one of the units KiB, MiB,
// GiB or TiB behind it or none.
type Bytes int64

func byteUnits() map[string]int64 {
	return map[string]int64{"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
}

// ParseBytes reads a size such as "20GiB" or "20 GiB". It refuses negative sizes,
// fractions and what does not fit.
func ParseBytes(s string) (Bytes, error) {
	digits := strings.TrimRight(s, "BGKMTi")
	unit := s[len(digits):]
	factor, ok := byteUnits()[unit]
	digits = strings.TrimSuffix(digits, " ")
	n, err := strconv.ParseUint(digits, 10, 63)
	if !ok || err != nil {
		return 0, fmt.Errorf("%q is not a size: want a whole number with KiB, MiB, GiB, TiB or no unit", s)
	}
	if int64(n) > math.MaxInt64/factor {
		return 0, fmt.Errorf("%q is too large", s)
	}
	return Bytes(int64(n) * factor), nil
}

// UnmarshalYAML reads a size from a scalar.
func (b *Bytes) UnmarshalYAML(node *yaml.Node) error {
	v, err := ParseBytes(node.Value)
	if node.Kind != yaml.ScalarNode || err != nil {
		if err == nil {
			err = fmt.Errorf("want a size")
		}
		return fmt.Errorf("line %d: %w", node.Line, err)
	}
	*b = v
	return nil
}
