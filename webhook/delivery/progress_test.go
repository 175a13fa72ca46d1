package delivery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kind-local-registry/config"
	"kind-local-registry/webhook"
	"kind-local-registry/webhook/podimage"
)

// patches is a client that records each patch and its time. If fails is set, every patch returns that error.
type patches struct {
	client.Client

	start time.Time
	made  []string
	fails error
}

func (p *patches) Patch(_ context.Context, pod client.Object, patch client.Patch, _ ...client.PatchOption) error {
	data, err := patch.Data(pod)
	p.made = append(p.made, fmt.Sprintf("%s %s", time.Since(p.start), data))
	return errors.Join(err, p.fails)
}

// steady is a Pusher whose pushes copy 10 MB per second for the given number of seconds.
type steady struct{ seconds int64 }

func (p steady) Push(_ context.Context, _ string, progress func(webhook.Progress)) (string, error) {
	time.Sleep(time.Second / 2) // so that no two timers fire together
	for second := range p.seconds {
		progress(webhook.Progress{Done: second * 10e6, Total: p.seconds * 10e6})
		time.Sleep(time.Second)
	}
	return someDigest, nil
}

// shown returns a patch of the progress annotation in the form that patches records.
func shown(after, text string) string {
	return after + ` [{"op":"test","path":"/metadata/uid","value":"uid"},` +
		`{"op":"test","path":"/spec/schedulingGates/0","value":{"name":"kind-local-registry/image-push"}},` +
		`{"op":"add","path":"/metadata/annotations/kind-local-registry~1progress","value":"` + text + `"}]`
}

func TestPush_ShowsItsProgress(t *testing.T) {
	t.Parallel()
	const failed = "retrying: no route to host"
	for name, tt := range map[string]struct {
		pusher webhook.Pusher
		ungate bool
		before string
		want   []string
	}{
		"of all images together, repeatedly": {pusher: steady{13}, want: []string{
			shown("2s", "pushing 20 of 260 MB"), shown("7s", "pushing 120 of 260 MB"), shown("12s", "pushing 220 of 260 MB"),
		}},
		"not if the push ends soon":     {pusher: steady{1}},
		"not on a pod without our gate": {pusher: steady{13}, ungate: true},
		"once while nothing is known": {
			pusher: &pusher{hangs: true}, want: []string{shown("2s", "waiting for other pushes")},
		},
		"not instead of an error, while nothing is known": {pusher: &pusher{hangs: true}, before: failed},
		"instead of an error, once it is known": {
			pusher: steady{3}, before: failed, want: []string{shown("2s", "pushing 20 of 60 MB")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				pod := gatedPod()
				if tt.ungate {
					pod.Spec.SchedulingGates = nil
				}
				if tt.before != "" {
					pod.Annotations[config.ProgressAnnotation] = tt.before
				}
				made := &patches{start: time.Now()}
				r := reconciler(tt.pusher)
				r.Client = made
				r.push(t.Context(), marked(pod), marked(pod).Waiting())
				if diff := cmp.Diff(tt.want, made.made); diff != "" {
					t.Errorf("patches (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestPush_SucceedsIfItCannotShowProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pod := gatedPod()
		r := reconciler(steady{13})
		r.Client = &patches{fails: errors.New("connection lost")}
		outcomes := r.push(t.Context(), marked(pod), marked(pod).Waiting())
		for _, o := range outcomes {
			if o.err != nil {
				t.Errorf("%s: %v", o.Path, o.err)
			}
		}
		// A patch that returned an error may still have been applied.
		delivered, hidden := ungatePatch(pod, outcomes), podimage.HideProgress(pod)
		if len(hidden) == 0 || !cmp.Equal(delivered[len(delivered)-len(hidden):], hidden) {
			t.Errorf("patch = %v, want one that hides progress", delivered)
		}
	})
}

func TestProgress_SumsAllImages(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		reports []webhook.Progress // for two images in turn
		text    string
		moved   string // for the first image
	}{
		"nothing is known":              {nil, "waiting for other pushes", ""},
		"both wait for other pushes":    {[]webhook.Progress{{}, {}}, "waiting for other pushes", ""},
		"nothing is copied yet":         {[]webhook.Progress{{Total: 858e6}}, "pushing 0 of 858 MB", ""},
		"one waits":                     {[]webhook.Progress{{Done: 412e6, Total: 858e6}, {}}, "pushing 412 of 858 MB", ", 412 MB"},
		"both are copied":               {[]webhook.Progress{{Done: 5e6, Total: 8e6}, {Done: 3e6, Total: 9e6}}, "pushing 8 of 17 MB", ", 5 MB"},
		"a small image":                 {[]webhook.Progress{{Done: 1, Total: 2}}, "pushing 1 of 1 MB", ", 1 MB"},
		"one starts again":              {[]webhook.Progress{{Done: 5e6, Total: 8e6}, {}, {Total: 8e6}}, "pushing 5 of 8 MB", ", 5 MB"},
		"one is copied again":           {[]webhook.Progress{{Done: 5e6, Total: 8e6}, {}, {Done: 1e6, Total: 2e6}}, "pushing 1 of 2 MB", ", 1 MB"},
		"all was present already":       {[]webhook.Progress{{Total: 8e6}, {}, {}}, "waiting for other pushes", ""},
		"one is present, one is copied": {[]webhook.Progress{{}, {Done: 1e6, Total: 2e6}}, "pushing 1 of 2 MB", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &progress{byImage: map[string]webhook.Progress{}}
			for i, now := range tt.reports {
				p.report([]string{"x:1", "y:1"}[i%2], now)
			}
			if got := progressText(p.all()); got != tt.text {
				t.Errorf("progressText = %q, want %q", got, tt.text)
			}
			if got := p.moved("x:1"); got != tt.moved {
				t.Errorf("moved = %q, want %q", got, tt.moved)
			}
		})
	}
}

func TestRetryText_IsOneShortLine(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"an error":     {errors.New("no route to host"), "retrying: no route to host"},
		"two errors":   {errors.Join(errors.New("one"), errors.New("other")), "retrying: one; other"},
		"a long error": {errors.New(strings.Repeat("é", 300)), "retrying: " + strings.Repeat("é", 200)},
	} {
		if got := retryText(tt.err); got != tt.want {
			t.Errorf("retryText of %s = %q, want %q", name, got, tt.want)
		}
	}
}
