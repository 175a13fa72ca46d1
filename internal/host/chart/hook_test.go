package chart

import (
	"errors"
	"testing"
)

func TestWithHookLog_AddsLastLine(t *testing.T) {
	t.Parallel()
	failed := errors.New("job failed")
	for log, want := range map[string]string{
		"":                                 "job failed",
		"\n":                               "job failed",
		"webhook: refused":                 "job failed: webhook: refused",
		"after 2s\nwebhook: no answer\n\n": "job failed: webhook: no answer",
	} {
		err := withHookLog(failed, log)
		if got := err.Error(); got != want || !errors.Is(err, failed) {
			t.Errorf("withHookLog(%v, %q) = %q, want %q", failed, log, got, want)
		}
	}
}
