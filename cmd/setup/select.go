package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"kind-local-registry/internal/host"
)

// errNotChosen means that the user did not choose a cluster.
var errNotChosen = errors.New("no cluster was chosen: nothing was changed")

// maxQuestions is how often chooseCluster asks before it gives up.
const maxQuestions = 3

// selection describes how a command selects a cluster if the user names none. If the command's stdin and stderr are terminals, it
// asks.
func selection(command *cobra.Command, preferUser bool) *host.Selection {
	in, w := command.InOrStdin(), command.ErrOrStderr()
	selected := &host.Selection{PreferUser: preferUser}
	if canAnswer(in) && isTerminal(w) {
		selected.Ask = func(ctx context.Context, names []string) (string, error) { return chooseCluster(ctx, in, w, names) }
	}
	return selected
}

// chooseCluster prints a numbered list of the clusters to w, and returns the one whose number or name is the next line of in.
func chooseCluster(ctx context.Context, in io.Reader, w io.Writer, names []string) (string, error) {
	if _, err := fmt.Fprintln(w, "There are several kind clusters:"); err != nil {
		return "", err
	}
	for i, name := range names {
		if _, err := fmt.Fprintf(w, "  %d) %s\n", i+1, name); err != nil {
			return "", err
		}
	}
	lines := bufio.NewReader(in)
	for range maxQuestions {
		if _, err := fmt.Fprintf(w, "Which one? [1-%d] ", len(names)); err != nil {
			return "", err
		}
		line, err := readLine(ctx, lines)
		if slices.Contains(names, line) {
			return line, nil
		}
		if number, fault := strconv.Atoi(line); fault == nil && number >= 1 && number <= len(names) {
			return names[number-1], nil
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			_, _ = fmt.Fprintln(w) // the error is printed below the question
			return "", err
		}
	}
	return "", errNotChosen
}
