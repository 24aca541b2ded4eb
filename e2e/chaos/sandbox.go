package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"dms/e2e"
)

const (
	// insideVariable tells a process that it runs in the namespaces, and names the folder
	// with the binaries.
	insideVariable = "DMS_CHAOS_INSIDE"
	buildLimit     = 10 * time.Minute
)

// tools are the programs that make disks and networks.
func tools() []string {
	return []string{"ip", "nsenter", "mkfs.ext4", "mount", "umount", "git"}
}

// missing says what keeps this process from making a sandbox, or nothing.
func missing() error {
	var errs []error
	if os.Geteuid() != 0 {
		errs = append(errs, errors.New("it needs root"))
	}
	for _, tool := range tools() {
		if _, err := exec.LookPath(tool); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// enter builds what is to be run, runs this program again as the first process of new
// namespaces, and returns its exit code. The builds come first because there is no
// network inside.
func enter(builds []string) (code int, err error) {
	if err := missing(); err != nil {
		return 1, fmt.Errorf("power cuts and partitions cannot be made: %w", err)
	}
	folder, err := os.MkdirTemp("", "dms-chaos-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	ctx, cancel := context.WithTimeout(context.Background(), buildLimit)
	defer cancel()
	if err := buildAll(ctx, folder, builds); err != nil {
		return 1, err
	}
	self, err := os.Executable()
	if err != nil {
		return 1, err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideVariable+"="+folder)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	runtime.LockOSThread() // the child would be killed with the thread that started it
	defer runtime.UnlockOSThread()
	err = cmd.Run()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok && failed.Exited() {
		return failed.ExitCode(), nil
	}
	if err != nil {
		return 1, err
	}
	return 0, nil
}

// buildAll makes builds of the service, each in a folder of its name.
func buildAll(ctx context.Context, folder string, builds []string) error {
	for _, name := range builds {
		into := filepath.Join(folder, name)
		if err := os.Mkdir(into, 0o700); err != nil {
			return err
		}
		flags, err := overlay(ctx, name, into)
		if err != nil {
			return err
		}
		if _, err := e2e.Build(ctx, into, flags...); err != nil {
			return fmt.Errorf("%s build: %w", name, err)
		}
	}
	return nil
}

// binary is the path of a build inside.
func binary(name string) string { return filepath.Join(os.Getenv(insideVariable), name, "dms") }

// furnish makes the namespaces usable: mounts stay inside, /proc tells of the processes
// inside, and named networks live in a folder of their own.
func furnish() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts inside: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := syscall.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	return run("ip", "link", "set", "lo", "up")
}

// run runs a tool; what it says is in the error.
func run(name string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
