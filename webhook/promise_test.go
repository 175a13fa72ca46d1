package webhook_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"

	"kind-local-registry/webhook/webhooktest"
)

func TestPromises_PinNewPodsWithoutAGate(t *testing.T) {
	t.Parallel()
	by := &promiser{}
	h, pusher := newPromising(t, by)
	pod := admitted(t, h, `{"metadata":{"name":"a"},"spec":{"initContainers":[{"name":"i","image":"host/init:1"}],"containers":[
		{"name":"a","image":"host/app:1"},{"name":"b","image":"registry/b:1"},{"name":"c","image":"nginx:1"},{"name":"d","image":"refused/d:1"}]}}`)
	got := []string{pod.Spec.InitContainers[0].Image}
	for _, container := range pod.Spec.Containers {
		got = append(got, container.Image)
	}
	want := []string{"localhost:5001/host/init:1@" + webhooktest.Digest, pinnedApp, "localhost:5001/registry/b:1@" + webhooktest.Digest, "nginx:1", "refused/d:1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	if len(pod.Spec.SchedulingGates) > 0 {
		t.Errorf("gates = %v, want none", pod.Spec.SchedulingGates)
	}
	by.wantAsked(t, "host/app:1", "host/init:1")
	if pusher.Pushed != 0 {
		t.Errorf("%d pushes, want none", pusher.Pushed)
	}
	if again := h.Handle(t.Context(), creation(encoded(t, pod))); again.Patch != nil {
		t.Errorf("a second call patches the pod again: %s", again.Patch)
	}
}

func TestPromises_AreNotMadeInADryRun(t *testing.T) {
	t.Parallel()
	by := &promiser{}
	h, _ := newPromising(t, by)
	request := creation(onePod("host/app:1", ""))
	request.DryRun = new(true)
	got := h.Handle(t.Context(), request)
	h.Promises = nil
	if diff := cmp.Diff(h.Handle(t.Context(), request), got); diff != "" {
		t.Errorf("response (-without promises +with):\n%s", diff)
	}
	by.wantAsked(t)
}

func TestPromises_LeaveTheGateWithoutAPromise(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		by   *promiser
		took time.Duration
	}{
		"an error":                    {&promiser{answer: func(context.Context, string) (string, error) { return webhooktest.Digest, errors.New("in a test") }}, 0},
		"no digest":                   {&promiser{answer: func(context.Context, string) (string, error) { return "", nil }}, 0},
		"a panic":                     {&promiser{answer: func(context.Context, string) (string, error) { panic("in a test") }}, 0},
		"a late panic":                {&promiser{takes: time.Second, answer: func(context.Context, string) (string, error) { panic("in a test") }}, 500 * time.Millisecond},
		"a promise that takes 501 ms": {&promiser{takes: 501 * time.Millisecond}, 500 * time.Millisecond},
		"a promise that hangs":        {&promiser{takes: time.Hour}, 500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h, _ := newPromising(t, test.by)
				start := time.Now()
				got := h.Handle(t.Context(), creation(onePod("host/app:1", "")))
				if took := time.Since(start); took != test.took {
					t.Errorf("the answer took %s, want %s", took, test.took)
				}
				h.Promises = nil
				want := h.Handle(t.Context(), creation(onePod("host/app:1", "")))
				if diff := cmp.Diff(string(want.Patch), string(got.Patch)); diff != "" || !strings.Contains(string(got.Patch), "schedulingGates") {
					t.Errorf("patch (-without promises +with):\n%s", diff)
				}
				test.by.wantAsked(t, "host/app:1")
				time.Sleep(2 * time.Second) // until the promise has ended: synctest fails if it never ends
			})
		})
	}
}

func TestPromises_LogPanics(t *testing.T) {
	t.Parallel()
	var lines []string
	h, _ := newPromising(t, &promiser{answer: func(context.Context, string) (string, error) { panic("in a test") }})
	h.Promises.Log = funcr.New(func(_, line string) { lines = append(lines, line) }, funcr.Options{})
	h.Handle(t.Context(), creation(onePod("host/app:1", "")))
	if len(lines) != 1 || !strings.Contains(lines[0], `"panic: in a test"`) || !strings.Contains(lines[0], `"image"="host/app:1"`) {
		t.Errorf("logged %q, want one line with the panic and the image", lines)
	}
}

func TestPromises_PinTheImagesOfAPodConcurrently(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		by := &promiser{takes: 400 * time.Millisecond, answer: func(ctx context.Context, image string) (string, error) {
			if image == "host/hangs:1" {
				<-ctx.Done()
				return "", ctx.Err()
			}
			return webhooktest.Digest, nil
		}}
		h, _ := newPromising(t, by)
		start := time.Now()
		pod := admitted(t, h, `{"metadata":{"name":"a"},"spec":{"containers":[{"name":"a","image":"host/app:1"},{"name":"b","image":"host/hangs:1"},
			{"name":"c","image":"host/app:2"},{"name":"d","image":"host/app:1"}]}}`)
		if took := time.Since(start); took != 500*time.Millisecond {
			t.Errorf("the answer took %s, want 500ms", took)
		}
		var got []string
		for _, container := range pod.Spec.Containers {
			got = append(got, container.Image)
		}
		want := []string{pinnedApp, "localhost:5001/host/hangs:1", "localhost:5001/host/app:2@" + webhooktest.Digest, pinnedApp}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("images (-want +got):\n%s", diff)
		}
		if len(pod.Spec.SchedulingGates) != 1 {
			t.Errorf("gates = %v, want one for the image that hangs", pod.Spec.SchedulingGates)
		}
		by.wantAsked(t, "host/app:1", "host/app:2", "host/hangs:1")
		time.Sleep(2 * time.Second)
	})
}

func TestPromises_AreSharedByConcurrentRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		by := &promiser{takes: 200 * time.Millisecond}
		h, _ := newPromising(t, by)
		var handling sync.WaitGroup
		for range 100 {
			handling.Go(func() {
				if got := h.Handle(t.Context(), creation(onePod("host/app:1", ""))); !strings.Contains(string(got.Patch), pinnedApp) {
					t.Errorf("patch = %s, want image %s", got.Patch, pinnedApp)
				}
			})
		}
		handling.Wait()
		by.wantAsked(t, "host/app:1")
	})
}

// TestPromises_OutliveTheirFirstRequest has a second request join a promise whose first request then ends.
func TestPromises_OutliveTheirFirstRequest(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		takes, cancel, joins time.Duration
	}{
		"the first is cancelled":           {300 * time.Millisecond, 100 * time.Millisecond, 50 * time.Millisecond},
		"the first has waited long enough": {700 * time.Millisecond, time.Hour, 300 * time.Millisecond},
		"the second comes after the first": {700 * time.Millisecond, 100 * time.Millisecond, 400 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				by := &promiser{takes: test.takes}
				h, _ := newPromising(t, by)
				first, cancel := context.WithTimeout(t.Context(), test.cancel)
				defer cancel()
				var handling sync.WaitGroup
				handling.Go(func() {
					if got := h.Handle(first, creation(onePod("host/app:1", ""))); strings.Contains(string(got.Patch), pinnedApp) {
						t.Errorf("patch of the first request = %s, want it gated", got.Patch)
					}
				})
				time.Sleep(test.joins)
				if got := h.Handle(t.Context(), creation(onePod("host/app:1", ""))); !strings.Contains(string(got.Patch), pinnedApp) {
					t.Errorf("patch of the second request = %s, want image %s", got.Patch, pinnedApp)
				}
				handling.Wait()
				by.wantAsked(t, "host/app:1")
			})
		})
	}
}

func TestPromises_AreRequestedAgainAfterAnError(t *testing.T) {
	t.Parallel()
	results := []error{errors.New("in a test"), nil}
	by := &promiser{answer: func(context.Context, string) (string, error) {
		err := results[0]
		results = results[1:]
		return webhooktest.Digest, err
	}}
	h, _ := newPromising(t, by)
	for _, gates := range []int{1, 0} {
		if got := admitted(t, h, onePod("host/app:1", "")).Spec.SchedulingGates; len(got) != gates {
			t.Errorf("gates = %v, want %d", got, gates)
		}
	}
	by.wantAsked(t, "host/app:1", "host/app:1")
}

// TestPromises_PinFieldsThatCannotChangeLater covers fields that cannot be pinned later. If their image is not promised,
// requests are handled as they are without promises.
func TestPromises_PinFieldsThatCannotChangeLater(t *testing.T) {
	t.Parallel()
	debugging, before := debug("host/app:1")
	ephemeral := creation(debugging)
	ephemeral.Operation, ephemeral.SubResource, ephemeral.OldObject.Raw = admissionv1.Update, "ephemeralcontainers", []byte(before)
	running := creation(`{"spec":{"nodeName":"n","containers":[{"name":"a","image":"host/app:1"}]}}`)
	running.Operation, running.OldObject.Raw = admissionv1.Update, []byte(`{"spec":{"nodeName":"n","containers":[{"name":"a","image":"nginx:1"}]}}`)
	for name, test := range map[string]struct {
		request *admissionv1.AdmissionRequest
		pushes  int // at admission, without a promise; for a new pod with a node, only the reconciler pushes
	}{
		"an ephemeral container":     {ephemeral, 1},
		"an image volume":            {creation(`{"spec":{"volumes":[{"name":"v","image":{"reference":"host/app:1"}}]}}`), 1},
		"a pod with a node":          {creation(`{"spec":{"nodeName":"n","containers":[{"name":"a","image":"host/app:1"}]}}`), 0},
		"an update of a running pod": {running, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, pusher := newPromising(t, &promiser{})
			got := h.Handle(t.Context(), test.request)
			if image := imageIn(t, got.Patch); image != pinnedApp || pusher.Pushed > 0 || strings.Contains(string(got.Patch), "schedulingGates") {
				t.Errorf("promised: patch = %s after %d pushes, want only image %s and no push", got.Patch, pusher.Pushed, pinnedApp)
			}
			failing := &promiser{answer: func(context.Context, string) (string, error) { return "", errors.New("in a test") }}
			h, pusher = newPromising(t, failing)
			got = h.Handle(t.Context(), test.request)
			h.Promises = nil
			want := h.Handle(t.Context(), test.request)
			if diff := cmp.Diff(string(want.Patch), string(got.Patch)); diff != "" {
				t.Errorf("not promised: patch (-without promises +with):\n%s", diff)
			}
			if pusher.Pushed != 2*test.pushes {
				t.Errorf("not promised: %d pushes by two requests, want %d each", pusher.Pushed, test.pushes)
			}
		})
	}
}
