package kindcli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"

	"sigs.k8s.io/kind/cmd/kind/app"
	kindcmd "sigs.k8s.io/kind/pkg/cmd"
)

// skipVariable is the environment variable that contains the path of the program that this package runs. If that program is a
// script that runs setup kind again, the second setup passes everything on to the next kind on the PATH.
const skipVariable = "KIND_LOCAL_REGISTRY_KIND_SKIP"

// kind runs kind with the arguments.
func (c *Command) kind(ctx context.Context, args []string, stdin io.Reader) error {
	program := find(filepath.SplitList(os.Getenv("PATH")), os.Getenv(skipVariable))
	if program == "" {
		return c.carried(ctx, args, stdin)
	}
	command := exec.CommandContext(ctx, program, args...) // #nosec G204 -- the user asked to run kind
	command.Stdin, command.Stdout, command.Stderr = stdin, c.Stdout, c.Stderr
	command.Env = append(os.Environ(), skipVariable+"="+program)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	err := command.Run()
	failed, exited := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return nil
	case !exited && ctx.Err() != nil:
		return &ExitError{interrupted}
	case !exited:
		return fmt.Errorf("running %s: %w", program, err)
	}
	if status, ok := failed.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return &ExitError{128 + int(status.Signal())} // as in a shell
	}
	return &ExitError{failed.ExitCode()}
}

// find returns the path of the first program named kind in the directories that is not this program. If skip is one of these
// programs, find ignores it and everything before it. It returns "" if there is none.
func find(directories []string, skip string) string {
	self := executable()
	var found []string
	for _, directory := range directories {
		path, err := exec.LookPath(filepath.Join(directory, "kind"))
		if err != nil || !filepath.IsAbs(path) {
			continue
		}
		info, err := os.Stat(path) // #nosec G703 -- the user chose the PATH
		if err == nil && !os.SameFile(info, self) {
			found = append(found, path)
		}
	}
	if i := slices.Index(found, skip); i >= 0 {
		found = found[i+1:]
	}
	if len(found) == 0 {
		return ""
	}
	return found[0]
}

// executable returns the file of this program, or nil if it is unknown.
func executable() os.FileInfo {
	path, err := os.Executable()
	if err != nil {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil
	}
	return info
}

// carried runs the version of kind that is built into this program. Like the program, kind's code ends immediately on an interrupt.
func (c *Command) carried(ctx context.Context, args []string, stdin io.Reader) error {
	ended := make(chan error, 1)
	go func() {
		ended <- app.Run(kindcmd.NewLogger(), kindcmd.IOStreams{In: stdin, Out: c.Stdout, ErrOut: c.Stderr}, args)
	}()
	select {
	case err := <-ended:
		if err != nil { // kind's code has printed it
			return &ExitError{1}
		}
		return nil
	case <-ctx.Done():
		return &ExitError{interrupted}
	}
}
