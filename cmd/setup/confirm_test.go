package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestConfirm_AcceptsOnlyYes(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]error{
		"y\n": nil, "YES\n": nil, "yes\r\n": nil,
		"\n": errNotConfirmed, "n\n": errNotConfirmed, "yesterday\n": errNotConfirmed, "": errNotConfirmed,
	} {
		var asked bytes.Buffer
		if err := confirm(t.Context(), strings.NewReader(answer), &asked, "Remove it?"); !errors.Is(err, want) {
			t.Errorf("confirm with answer %q = %v, want %v", answer, err, want)
		}
		if got := asked.String(); got != "Remove it? [y/N] " {
			t.Errorf("asked %q", got)
		}
	}
}

func TestConfirm_ReturnsWhenContextEnds(t *testing.T) {
	t.Parallel()
	silent, unanswered := io.Pipe()
	t.Cleanup(func() { _ = unanswered.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := confirm(ctx, silent, io.Discard, "Remove it?"); !errors.Is(err, context.Canceled) {
		t.Errorf("confirm = %v, want %v", err, context.Canceled)
	}
}
