package reachability

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var errRefused = errors.New("connection refused")

// answers returns a fake probe. Each letter determines what one call does: it answers (a), fails (f), or hangs until the context
// ends (h). The last letter applies to all further calls, too. calls counts the calls.
func answers(letters string) (send func(context.Context) (string, error), calls *int) {
	calls = new(int)
	return func(ctx context.Context) (string, error) {
		letter := letters[min(*calls, len(letters)-1)]
		*calls++
		switch letter {
		case 'a':
			return "some-pod", nil
		case 'h':
			<-ctx.Done()
			return "", ctx.Err()
		}
		return "", errRefused
	}, calls
}

func TestConsecutive_StartsAgainAfterAFailedCall(t *testing.T) {
	t.Parallel()
	for letters, want := range map[string]int{"a": 3, "fa": 4, "aafa": 6, "afaafa": 8} {
		synctest.Test(t, func(t *testing.T) {
			send, calls := answers(letters)
			answer, err := consecutive(t.Context(), 3, send, func(string) {})
			if err != nil || answer != "some-pod" || *calls != want {
				t.Errorf("consecutive with %s = %q, %v after %d probes, want %q after %d", letters, answer, err, *calls, "some-pod", want)
			}
		})
	}
}

func TestConsecutive_SaysWhyTheLastCallFailed(t *testing.T) {
	t.Parallel()
	for letters, want := range map[string]error{"f": errRefused, "afh": errRefused, "h": context.DeadlineExceeded, "ah": context.DeadlineExceeded} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			send, _ := answers(letters)
			_, err := consecutive(ctx, 3, send, func(string) {})
			if !errors.Is(err, want) || !strings.Contains(err.Error(), "of 3 consecutive calls reached the webhook within 10s") {
				t.Errorf("consecutive with %s = %v, want the time and %v", letters, err, want)
			}
		})
	}
}

func TestConsecutive_ReportsEveryTwoSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var lines []string
		send, _ := answers("f")
		if _, err := consecutive(ctx, 2, send, func(line string) { lines = append(lines, line) }); err == nil {
			t.Error("consecutive succeeds without an answer")
		}
		want := []string{
			"after 2s, 0 of 2 consecutive calls reached the webhook: connection refused",
			"after 4s, 0 of 2 consecutive calls reached the webhook: connection refused",
		}
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
	})
}
