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
		return err
	}
	if line = strings.ToLower(line); line != "y" && line != "yes" {
		return errNotConfirmed
	}
	return nil
}

// readLine returns the next line of in without the white space around it. The error is io.EOF if the line has no end. When ctx
// ends, readLine returns ctx's error; the goroutine that reads in then ends only with the process.
func readLine(ctx context.Context, in *bufio.Reader) (string, error) {
	type result struct {
		line string
		err  error
	}
	read := make(chan result, 1)
	go func() { // a read cannot be cancelled
		line, err := in.ReadString('\n')
		read <- result{strings.TrimSpace(line), err}
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case r := <-read:
		return r.line, r.err
	}
}
