package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/host/images"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/rewrite"
)

const someDigest = digest.Digest("sha256:abcdef012345aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")

// pushedApp returns the outcome of pushing an image when the registry already had some of its layers.
func pushedApp() images.Pushed {
	return images.Pushed{
		Image: "example/app:local", Rewritten: "localhost:5001/example/app:local@" + someDigest.String(),
		Result:   push.Result{Digest: someDigest, Bytes: 31_204_000, Uploaded: 2, PresentBytes: 827_000_000, Present: 3},
		Duration: 412345 * time.Microsecond,
	}
}

// notOnHost returns the outcome of pushing an image that Docker does not have.
func notOnHost() images.Pushed {
	refusal := &rewrite.Refusal{Reason: rewrite.NotOnHost, Detail: "the Docker daemon has no image docker.io/x/none:1"}
	return images.Pushed{Image: "x/none:1", Duration: 8 * time.Millisecond, Err: fmt.Errorf("%w; build it first", refusal)}
}

func TestHumanSize_HasThreeDigits(t *testing.T) {
	t.Parallel()
	for size, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1 kB", 31_204_000: "31.2 MB", 827_400_000: "827 MB", 999_999: "1 MB", 999_600_000: "1 GB",
		1_234_567_890: "1.23 GB",
	} {
		if got := humanSize(size); got != want {
			t.Errorf("humanSize(%d) = %q, want %q", size, got, want)
		}
	}
}

func TestPushResults_PrintLinesInOrderOfImages(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	results := &pushResults{w: &out, images: []string{"example/app:local", "x/none:1", "y"}}
	present := images.Pushed{Image: "y", Rewritten: "localhost:5001/y:latest@" + someDigest.String(), Result: push.Result{PresentBytes: 5_000_000, Present: 2}}
	results.add(&out, 2, present)
	results.add(&out, 1, notOnHost())
	if out.Len() != 0 {
		t.Errorf("printed %q before the first outcome was known", out.String())
	}
	results.add(&out, 0, pushedApp())
	want := `✓ example/app:local  localhost:5001/example/app:local@sha256:abcdef012345…  31.2 MB pushed, 827 MB already present, 0.4 s
✗ x/none:1           NotOnHost: the Docker daemon has no image docker.io/x/none:1; build it first
✓ y                  localhost:5001/y:latest@sha256:abcdef012345…  all 5 MB already present, 0.0 s
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestPushResults_SkipUnpushableImagesOfAllLocal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	broken := images.Pushed{Image: "z", Err: errors.New("the registry is gone")}
	options := pushOptions{output: &printer{}, allLocal: true}
	results := &pushResults{w: &out, skips: true, images: []string{"x/none:1", "z"}}
	results.add(&out, 0, notOnHost())
	results.add(&out, 1, broken)
	want := "- x/none:1  skipped, NotOnHost: the Docker daemon has no image docker.io/x/none:1; build it first\n✗ z         the registry is gone\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	if err := options.verdict([]images.Pushed{pushedApp(), notOnHost()}); err != nil {
		t.Errorf("verdict = %v for a skipped image, want nil", err)
	}
	if err := options.verdict([]images.Pushed{pushedApp(), notOnHost(), broken}); err == nil || err.Error() != "1 of 3 images are not in the registry" {
		t.Errorf("verdict = %v for a failed image", err)
	}
}

func TestVerdict_IsErrorUnlessAllArePushed(t *testing.T) {
	t.Parallel()
	cancelled := images.Pushed{Image: "z", Err: images.ErrCancelled}
	for name, test := range map[string]struct {
		quiet  bool
		pushed []images.Pushed
		want   string
	}{
		"all are pushed":                    {pushed: []images.Pushed{pushedApp()}},
		"the only one failed":               {pushed: []images.Pushed{notOnHost()}, want: "x/none:1 is not in the registry"},
		"one of several failed":             {pushed: []images.Pushed{pushedApp(), notOnHost()}, want: "1 of 2 images are not in the registry"},
		"quiet, so no line says which":      {quiet: true, pushed: []images.Pushed{pushedApp(), notOnHost()}, want: "x/none:1: NotOnHost: the Docker daemon has no image docker.io/x/none:1; build it first"},
		"one was cancelled, another failed": {pushed: []images.Pushed{notOnHost(), cancelled}, want: "interrupted: pushing z was cancelled; the registry shows no incomplete image, and the next push copies only what is missing"},
	} {
		options := pushOptions{output: &printer{quiet: test.quiet}}
		var got string
		if err := options.verdict(test.pushed); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: verdict = %q, want %q", name, got, test.want)
		}
	}
}

func TestPushResults_PrintJSON(t *testing.T) {
	t.Parallel()
	const path = "testdata/golden/push.json"
	var out bytes.Buffer
	results := &pushResults{w: &out, format: "json", images: []string{"example/app:local", "x/none:1"}}
	app := pushedApp()
	app.Nodes = someNodes()
	results.add(&out, 0, app)
	if err := results.end([]images.Pushed{app, notOnHost()}); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestPushResults_PrintEmptyJSONArray(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := (&pushResults{w: &out, format: "json"}).end(nil); err != nil || out.String() != "[]\n" {
		t.Errorf("printed %q, %v; want []", out.String(), err)
	}
}

func TestPushState_ShowsProgressAndRate(t *testing.T) {
	t.Parallel()
	start := time.Now()
	state := &pushState{}
	for _, step := range []struct {
		at   time.Duration
		now  push.Progress
		want string
	}{
		{0, push.Progress{}, "waiting"},
		{3 * time.Second, push.Progress{Total: 858_000_000, Present: 27_000_000}, "0 B of 858 MB, 27 MB already present"},
		{5 * time.Second, push.Progress{Bytes: 312_000_000, Total: 858_000_000, Present: 27_000_000}, "312 MB of 858 MB, 156 MB/s, 4 s left, 27 MB already present"},
	} {
		state.update(step.now, start.Add(step.at))
		if got := state.text(); got != step.want {
			t.Errorf("after %s: %q, want %q", step.at, got, step.want)
		}
	}
	if state.finish(true); state.text() != "done" {
		t.Errorf("at the end: %q, want done", state.text())
	}
}

func TestPushState_ShowsNoTotalOfPipe(t *testing.T) {
	t.Parallel()
	start, state := time.Now(), &pushState{}
	for at, bytes := range []int64{0, 100_000_000, 300_000_000} {
		state.update(push.Progress{Bytes: bytes}, start.Add(time.Duration(at)*time.Second))
	}
	if got, want := state.text(), "300 MB, 300 MB/s"; got != want {
		t.Errorf("text = %q, want %q", got, want)
	}
}

func TestPushView_KeepsBarUntilResultIsPrinted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stdout, stderr bytes.Buffer
		results := &pushResults{w: &stdout, images: []string{"slow", "fast"}}
		view := newPushView(&printer{w: &stderr, terminal: true}, results)
		for image := range results.images {
			view.Pushing(image, push.Progress{Total: 100_000_000})
		}
		view.Pushed(1, pushedApp())
		time.Sleep(time.Second)
		if stdout.Len() != 0 {
			t.Errorf("before the first has ended, stdout is %q", stdout.String())
		}
		view.Pushed(0, pushedApp())
		view.close()
		if strings.Count(stdout.String(), "\n") != 2 {
			t.Errorf("stdout is %q, want both results", stdout.String())
		}
		if !strings.Contains(stderr.String(), "… fast  [                      ]  done") {
			t.Errorf("no finished bar in %q", stderr.String())
		}
	})
}

// drive simulates a push that takes the given number of seconds and reports its progress four times a second. It returns the
// printed text.
func drive(t *testing.T, output *printer, seconds int) (progress, results string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	output.w = &stderr
	view := newPushView(output, &pushResults{w: &stdout, quiet: output.quiet, images: []string{"example/app:local"}})
	for i := range 4 * seconds {
		view.Pushing(0, push.Progress{Bytes: int64(i) * 25_000_000, Total: int64(seconds) * 100_000_000})
		time.Sleep(250 * time.Millisecond)
	}
	view.Pushed(0, pushedApp())
	view.close()
	return stderr.String(), stdout.String()
}

func TestPushView_PrintsLinesForSlowPush(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		progress, results := drive(t, &printer{}, 9)
		want := "  example/app:local  200 MB of 900 MB, 100 MB/s, 7 s left\n  example/app:local  700 MB of 900 MB, 100 MB/s, 2 s left\n"
		if diff := cmp.Diff(want, progress); diff != "" {
			t.Error(diff)
		}
		if strings.Count(results, "\n") != 1 || !strings.HasPrefix(results, "✓ example/app:local") {
			t.Errorf("stdout is %q, want the result alone", results)
		}
	})
}

func TestPushView_PrintsOnlyResultOfFastPush(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		if progress, results := drive(t, &printer{}, 2); progress != "" || results == "" {
			t.Errorf("stderr is %q, stdout %q", progress, results)
		}
		if progress, _ := drive(t, &printer{verbose: true, terminal: true}, 2); strings.Count(progress, "\n") != 3 {
			t.Errorf("with -v stderr is %q, want a line a second, and one about linking", progress)
		}
		if progress, results := drive(t, &printer{quiet: true, terminal: true}, 9); progress+results != "" {
			t.Errorf("with -q stderr is %q, stdout %q; want nothing", progress, results)
		}
	})
}

func TestPushView_DrawsAndRemovesBarOnTerminal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		progress, results := drive(t, &printer{terminal: true}, 2)
		if !strings.Contains(progress, "… example/app:local  [=========>         ]  100 MB of 200 MB, 100 MB/s, 1 s left") {
			t.Errorf("no bar half-way in %q", progress)
		}
		if strings.Count(results, "\n") != 1 {
			t.Errorf("stdout is %q, want the result alone", results)
		}
	})
}
