package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// errNotConfirmed means that the user did not answer yes to a command's question.
var errNotConfirmed = errors.New("not confirmed: nothing was changed")

// confirm prints the question to w. It returns nil if the next line of in is "y" or "yes".
func confirm(ctx context.Context, in io.Reader, w io.Writer, question string) error {
	if _, err := fmt.Fprintf(w, "%s [y/N] ", question); err != nil {
		return err
	}
	line, err := readLine(ctx, bufio.NewReader(in))
	if err != nil && !errors.Is(err, io.EOF) {
		_, _ = fmt.Fprintln(w) // the error is printed below the question
		return err
	}
	if line = strings.ToLower(line); line != "y" && line != "yes" {
		return errNotConfirmed
	}
	return nil
}

// readLine returns the next line of in without the white space around it. The error is io.EOF if the line has no end. When ctx
// ends, readLine returns ctx's error.
func readLine(ctx context.Context, in *bufio.Reader) (string, error) {
	type result struct {
		line string
		err  error
	}
	read, err := await(ctx, func() result {
		line, err := in.ReadString('\n')
		return result{strings.TrimSpace(line), err}
	})
	if err != nil {
		return "", err
	}
	return read.line, read.err
}

// await returns the result of read, or the context's error if ctx ends first. A read cannot be cancelled: its goroutine ends with
// the process.
func await[T any](ctx context.Context, read func() T) (T, error) {
	result := make(chan T, 1)
	go func() { result <- read() }()
	select {
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	case value := <-result:
		return value, nil
	}
}
