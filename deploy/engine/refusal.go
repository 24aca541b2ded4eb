package engine

import (
	"errors"
	"fmt"
)

// Reasons why a member does not start, or stops by itself. Start wraps them in a
// sentence for the operator.
var (
	ErrOptions        = errors.New("the options are incomplete")
	ErrNotSynced      = errors.New("writes would not be synced to disk before they are confirmed")
	ErrTooFewReplicas = errors.New("there are too few replicas")
	ErrForeignData    = errors.New("the data folder belongs to another member")
	ErrEncrypted      = errors.New("the data folder is encrypted otherwise than configured")
	ErrPortTaken      = errors.New("the port is taken")
	ErrDiskTooSmall   = errors.New("the disk is too small")
	ErrStorageLost    = errors.New("the member has stopped using its storage")
	ErrStopped        = errors.New("the member has stopped")
	ErrStuck          = errors.New("the embedded server does not end, so that its process has to")
	ErrFailed         = errors.New("the embedded server failed")
)

func refuse(reason error, format string, args ...any) error {
	return fmt.Errorf("%w: %s", reason, fmt.Sprintf(format, args...))
}
