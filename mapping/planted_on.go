//go:build planted

package mapping

import (
	"math/rand/v2"
	"os"
)

var planted = fault(os.Getenv("DMS_PLANTED"))

// unlucky is how a planted fault strikes now and then.
func unlucky() bool { return rand.IntN(20) == 0 }
