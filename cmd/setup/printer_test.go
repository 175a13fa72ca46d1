package main

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/host/step"
)

// runSteps drives the printer as setup up does, with one step of half a minute that reports progress after 15 seconds, and one
// step that changes nothing. It returns what is printed.
func runSteps(t *testing.T, p *printer) string {
	t.Helper()
	var out bytes.Buffer
	p.w = &out
	p.Begin("cluster")
	time.Sleep(15 * time.Second)
	p.Progress("Starting control-plane")
	time.Sleep(15*time.Second + time.Millisecond)
	p.End(step.Result{Step: "cluster", Changed: true, Detail: "dev, 1 node", Duration: 30 * time.Second})
	p.Begin("images")
	p.End(step.Result{Step: "images", Duration: 100 * time.Millisecond})
	time.Sleep(time.Minute) // nothing may be printed after the end
	return out.String()
}

func TestPrinter_PrintsLinesOutsideATerminal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		want := `  cluster        still running after 10 s
  cluster        Starting control-plane
  cluster        still running after 25 s
✓ cluster        dev, 1 node (30.0 s)
✓ images         (unchanged)
`
		if diff := cmp.Diff(want, runSteps(t, &printer{})); diff != "" {
			t.Errorf("stderr (-want +got):\n%s", diff)
		}
	})
}

func TestPrinter_AddsTimesIfVerbose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got := runSteps(t, &printer{verbose: true, terminal: true})
		for _, want := range []string{"  cluster        Starting control-plane (after 15.0 s)\n", "✓ images         (unchanged, 0.1 s)\n"} {
			if !strings.Contains(got, want) {
				t.Errorf("with -v stderr is %q, want %q in it", got, want)
			}
		}
		if strings.Contains(got, clearLine) {
			t.Errorf("with -v stderr is %q, want no line overwritten", got)
		}
	})
}

func TestPrinter_OverwritesTheLineOnATerminal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got := runSteps(t, &printer{terminal: true})
		for _, want := range []string{"… cluster        ", "… cluster         (2 s)", "… cluster        Starting control-plane (15 s)", "… cluster        Starting control-plane (29 s)"} {
			if !strings.Contains(got, clearLine+want) {
				t.Errorf("stderr is %q, want %q in it", got, want)
			}
		}
		if lines := strings.Count(got, "\n"); lines != 2 {
			t.Errorf("stderr is %q, want one line for each step", got)
		}
	})
}

func TestPrinter_PrintsNothingIfQuiet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &printer{quiet: true, terminal: true}
		if got := runSteps(t, p); got != "" {
			t.Errorf("with -q stderr is %q, want nothing", got)
		}
		if len(p.results) != 2 {
			t.Errorf("results %+v, want both steps for the JSON document", p.results)
		}
	})
}

func TestPrinter_ShowsAFailedStep(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := &printer{w: &out}
	p.Begin("chart")
	p.End(step.Result{Step: "chart", Duration: time.Second, Err: errors.New("no space left")})
	if want := "✗ chart          (1.0 s)\n"; out.String() != want {
		t.Errorf("stderr is %q, want %q", out.String(), want)
	}
}

func TestColored_NeedsATerminalWithoutNoColor(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	for _, w := range []any{&bytes.Buffer{}, file} {
		if got := mark(w, false); got != "✗" {
			t.Errorf("mark on %T = %q, want it without color", w, got)
		}
	}
}
