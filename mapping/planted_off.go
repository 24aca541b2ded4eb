//go:build !planted

package mapping

const planted = noFault

// unlucky is how a planted fault strikes now and then.
func unlucky() bool { return false }
