package main

import (
	"bytes"
	"errors"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"kind-local-registry/internal/host/engine/enginetest"
	"kind-local-registry/internal/host/kindcli"
)

// interruptWhileWaiting runs setup with the arguments against a Docker daemon that never answers, and sends the signal to setup once
// its first request has arrived. It returns setup's exit status and stderr.
func interruptWhileWaiting(t *testing.T, signal syscall.Signal, args ...string) (status int, stderr string) {
	t.Helper()
	daemon := enginetest.New(t)
	requested, release := make(chan struct{}, 100), make(chan struct{})
	daemon.Between(func() {
		daemon.Refuse = func(string, string, []byte) (int, string) {
			requested <- struct{}{}
			<-release
			return 503, "the test has ended"
		}
	})
	command := exec.CommandContext(t.Context(), "setup", args...)
	command.Env = append(command.Environ(), "DOCKER_HOST="+daemon.Host())
	var printed bytes.Buffer
	command.Stderr = &printed
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	<-requested
	if err := command.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	err := command.Wait()
	close(release)
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		t.Fatalf("setup %s = %v, want an exit status", strings.Join(args, " "), err)
	}
	return exit.ExitCode(), printed.String()
}

func TestInterrupt_SetsExitStatusAndSaysHowToContinue(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		signal syscall.Signal
		args   string
		status int
		want   string
	}{
		{syscall.SIGINT, "up", 130, "setup: interrupted: run `setup up` again: it continues where this run stopped, and repairs what is incomplete\n"},
		{syscall.SIGTERM, "up --quiet", 143, "setup: interrupted: run `setup up` again: it continues where this run stopped, and repairs what is incomplete\n"},
		{syscall.SIGINT, "down --yes", 130, "setup: interrupted: run `setup down` again to remove the rest, or `setup up` to repair what is left\n"},
		{syscall.SIGINT, "push example/app:local", 130, "setup: interrupted: run `setup push` again: it copies only what is missing\n"},
		{syscall.SIGINT, "status -o json", 130, "setup: interrupted: nothing was changed\n"},
		{syscall.SIGTERM, "explain example/app:local", 143, "setup: interrupted: nothing was changed\n"},
	} {
		t.Run(test.args, func(t *testing.T) {
			t.Parallel()
			status, stderr := interruptWhileWaiting(t, test.signal, strings.Fields(test.args)...)
			if status != test.status || stderr != test.want {
				t.Errorf("after signal %d, setup %s exits with %d and prints %q; want %d and %q", test.signal, test.args, status, stderr, test.status, test.want)
			}
		})
	}
}

func TestInterrupt_EndsAReadOfStandardInput(t *testing.T) {
	t.Parallel()
	command := exec.CommandContext(t.Context(), "setup", "explain", "-f", "-")
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	// setup has begun to read, and so has installed its signal handler, once more has been written than the pipe holds.
	if _, err := stdin.Write(bytes.Repeat([]byte("#\n"), 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := command.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	exit, ok := errors.AsType[*exec.ExitError](command.Wait())
	if !ok || exit.ExitCode() != 130 {
		t.Errorf("setup explain -f - ends with %v, want exit status 130", exit)
	}
}

// The test sends signals to its own process.
func TestCatch_EndsTheProcessAtTheSecondSignal(t *testing.T) {
	exited := make(chan int, 1)
	caught := catch(t.Context(), io.Discard, func(status int) { exited <- status })
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		if err := syscall.Kill(syscall.Getpid(), signal); err != nil {
			t.Fatal(err)
		}
		<-caught.ctx.Done()
	}
	select {
	case got := <-exited:
		if got != 143 {
			t.Errorf("exit status %d after the second signal, want 143", got)
		}
	case <-time.After(time.Minute):
		t.Fatal("the second signal does not end the process within a minute")
	}
	if got := caught.end(&cobra.Command{}, nil); got != 130 {
		t.Errorf("end = %d, want 130 for the first signal", got)
	}
}

func TestEnd_PrintsTheErrorWithoutInterruption(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err    error
		status int
		want   string
	}{{nil, 0, ""}, {errors.New("no space left"), 1, "setup: no space left\n"}, {&kindcli.ExitError{Code: 3}, 3, ""}} {
		var stderr bytes.Buffer
		if got := (&interrupts{stderr: &stderr}).end(&cobra.Command{}, test.err); got != test.status || stderr.String() != test.want {
			t.Errorf("end with %v = %d and prints %q; want %d and %q", test.err, got, stderr.String(), test.status, test.want)
		}
	}
}
