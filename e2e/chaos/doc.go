// Package chaos runs three "dms serve" processes, each with a disk and a network of its
// own, breaks both while clients record what they see, and has the history judged. What
// was acknowledged, and what was broken meanwhile, is written to LEDGER.md.
//
//	make chaos FOR=30m SEED=7
//
// Disks are ext4 file systems in files, so that a power cut can take away what was not
// synced; networks are namespaces joined by a bridge. That needs root, so the runs are
// made when the environment has DMS_CI_ROOT=1 or -chaos.for is given, and a missing tool
// then is a failure. Everything happens in namespaces of the test's own: whatever it
// mounts, connects or starts is gone when it ends, however it ends.
package chaos
