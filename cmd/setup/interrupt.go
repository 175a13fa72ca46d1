package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"kind-local-registry/internal/host/kindcli"
)

// interrupted is the key of a command's annotation that says what to run after the command was interrupted.
const interrupted = "interrupted"

// endless is the key of a command's annotation that says that the command runs until it is interrupted, so that an interruption is
// its success.
const endless = "endless"

// stopPatience is how long a command may take to stop before setup says that it is stopping.
const stopPatience = time.Second

// interrupts ends a context at the first SIGINT or SIGTERM, and the process at the second.
type interrupts struct {
	ctx    context.Context //nolint:containedctx // main passes it on
	stderr io.Writer
	first  atomic.Int32 // the exit status for the first signal; 0 if there was none
}

// catch begins to catch SIGINT and SIGTERM. exit ends the process.
func catch(ctx context.Context, stderr io.Writer, exit func(status int)) *interrupts {
	ctx, cancel := context.WithCancel(ctx)
	i := &interrupts{ctx: ctx, stderr: stderr}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		defer cancel()
		i.receive(<-signals, cancel)
		exit(status(<-signals))
	}()
	return i
}

// receive handles the first signal.
func (i *interrupts) receive(first os.Signal, cancel func()) {
	i.first.Store(int32(status(first))) // #nosec G115 -- at most 128 + 15
	cancel()
	time.AfterFunc(stopPatience, func() {
		line := "Stopping. Press Ctrl-C again to stop immediately.\n"
		if isTerminal(i.stderr) { // the cursor may be at the end of a step's line
			line = "\n" + line
		}
		_, _ = io.WriteString(i.stderr, line)
	})
}

// status returns the exit status of a process that a signal ends, by the convention of shells.
func status(received os.Signal) int {
	number, _ := received.(syscall.Signal)
	return 128 + int(number)
}

// end prints the error with which the command ended, or how to continue after an interruption. It returns the exit status. If kind
// failed, the exit status is kind's, and kind has printed its error.
func (i *interrupts) end(command *cobra.Command, err error) int {
	first := int(i.first.Load())
	kind, failed := errors.AsType[*kindcli.ExitError](err)
	switch {
	case failed && first == 0:
		return kind.Code
	case failed:
		return first
	case first != 0 && err == nil && command.Annotations[endless] != "":
		return 0
	case first != 0:
		_, _ = fmt.Fprintln(i.stderr, "setup:", interruption(command, err))
		return first
	case err != nil:
		_, _ = fmt.Fprintln(i.stderr, "setup:", err)
		return 1
	}
	return 0
}

// interruption describes in one line what to run after the command was interrupted.
func interruption(command *cobra.Command, err error) string {
	if err != nil && strings.HasPrefix(err.Error(), interrupted+": ") {
		return err.Error()
	}
	advice := command.Annotations[interrupted]
	if advice == "" {
		advice = "nothing was changed"
	}
	return interrupted + ": " + advice
}
