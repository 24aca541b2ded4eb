// Package disk watches the space of one disk, says when nothing more should be stored on
// it, and keeps some of it in reserve for what must be written all the same. It also tries
// whether the disk takes writes at all. It knows nothing of what is stored.
package disk
