package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

func TestChooseCluster_TakesNumberOrName(t *testing.T) {
	t.Parallel()
	for answers, want := range map[string]string{
		"1\n": "dev", "2\n": "laconic-1", "laconic-1\r\n": "laconic-1", "2": "laconic-1", "\n0\n1\n": "dev", "3\nx\ndev\n": "dev",
	} {
		got, err := chooseCluster(t.Context(), strings.NewReader(answers), io.Discard, []string{"dev", "laconic-1"})
		if got != want || err != nil {
			t.Errorf("chooseCluster with %q = %q, %v; want %q", answers, got, err, want)
		}
	}
}

func TestChooseCluster_GivesUpWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	for answers, asked := range map[string]int{"": 1, "3": 1, "0\n-1\nx\n1\n": maxQuestions} {
		var printed bytes.Buffer
		got, err := chooseCluster(t.Context(), strings.NewReader(answers), &printed, []string{"dev", "laconic-1"})
		if got != "" || !errors.Is(err, errNotChosen) {
			t.Errorf("chooseCluster with %q = %q, %v; want %v", answers, got, err, errNotChosen)
		}
		want := "There are several kind clusters:\n  1) dev\n  2) laconic-1\n" + strings.Repeat("Which one? [1-2] ", asked)
		if diff := cmp.Diff(want, printed.String()); diff != "" {
			t.Errorf("chooseCluster with %q printed (-want +got):\n%s", answers, diff)
		}
	}
}

func TestChooseCluster_ReturnsWhenContextEnds(t *testing.T) {
	t.Parallel()
	silent, unanswered := io.Pipe()
	t.Cleanup(func() { _ = unanswered.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := chooseCluster(ctx, silent, io.Discard, []string{"a", "b"}); !errors.Is(err, context.Canceled) {
		t.Errorf("chooseCluster = %v, want %v", err, context.Canceled)
	}
}

func TestSelection_AsksOnlyOnATerminal(t *testing.T) {
	t.Parallel()
	command := &cobra.Command{}
	command.SetIn(strings.NewReader("1\n"))
	command.SetErr(io.Discard)
	if selection(command, false).Ask != nil {
		t.Error("selection asks although stdin and stderr are no terminals")
	}
}
