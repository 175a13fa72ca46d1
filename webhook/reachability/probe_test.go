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

// answers returns what is asked: it answers as the letters say, one a question, and from the last one on always the same.
// An a is an answer, an f a fault, and an h hangs until the question is given up. Asked counts the questions.
func answers(letters string) (ask func(context.Context) (string, error), asked *int) {
	asked = new(int)
	return func(ctx context.Context) (string, error) {
		letter := letters[min(*asked, len(letters)-1)]
		*asked++
		switch letter {
		case 'a':
			return "some-pod", nil
		case 'h':
			<-ctx.Done()
			return "", ctx.Err()
		}
		return "", errRefused
	}, asked
}

func TestInARow_CountsAnewAfterACallThatDidNotArrive(t *testing.T) {
	t.Parallel()
	for letters, want := range map[string]int{"a": 3, "fa": 4, "aafa": 6, "afaafa": 8} {
		synctest.Test(t, func(t *testing.T) {
			ask, asked := answers(letters)
			answer, err := inARow(t.Context(), 3, ask, func(string) {})
			if err != nil || answer != "some-pod" || *asked != want {
				t.Errorf("inARow with %s = %q, %v after %d questions, want %q after %d", letters, answer, err, *asked, "some-pod", want)
			}
		})
	}
}

func TestInARow_SaysWhyTheLastCallDidNotArrive(t *testing.T) {
	t.Parallel()
	for letters, want := range map[string]error{"f": errRefused, "afh": errRefused, "h": context.DeadlineExceeded, "ah": context.DeadlineExceeded} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			ask, _ := answers(letters)
			_, err := inARow(ctx, 3, ask, func(string) {})
			if !errors.Is(err, want) || !strings.Contains(err.Error(), "of 3 calls in a row arrived within 10s") {
				t.Errorf("inARow with %s = %v, want the time and %v", letters, err, want)
			}
		})
	}
}

func TestInARow_ReportsEveryTwoSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var lines []string
		ask, _ := answers("f")
		if _, err := inARow(ctx, 2, ask, func(line string) { lines = append(lines, line) }); err == nil {
			t.Error("inARow succeeds without an answer")
		}
		want := []string{
			"after 2s, 0 of 2 calls in a row arrived: connection refused",
			"after 4s, 0 of 2 calls in a row arrived: connection refused",
		}
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
	})
}
