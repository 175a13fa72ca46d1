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
	answer := make(chan string, 1)
	go func() { // a read cannot be cancelled; the goroutine ends with the process
		line, _ := bufio.NewReader(in).ReadString('\n') // on an error, line is empty or incomplete
		answer <- line
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case line := <-answer:
		if line = strings.ToLower(strings.TrimSpace(line)); line != "y" && line != "yes" {
			return errNotConfirmed
		}
		return nil
	}
}
