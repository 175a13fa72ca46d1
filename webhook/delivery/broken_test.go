package delivery

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kind-local-registry/webhook"
)

// lister is a Reader whose pods are pods, or that fails.
type lister struct {
	client.Reader

	pods []corev1.Pod
	err  error
}

func (l *lister) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	list.(*corev1.PodList).Items = l.pods
	return l.err
}

// breaches is a BrokenPromises that returns a list, or fails.
type breaches struct {
	broken []webhook.BrokenPromise
	err    error
}

func (b *breaches) BrokenPromises(context.Context) ([]webhook.BrokenPromise, error) {
	return b.broken, b.err
}

// noted is a Recorder that keeps what Events say.
type noted []string

func (n *noted) Eventf(regarding, _ runtime.Object, kind, reason, _, note string, args ...any) {
	about := regarding.(*corev1.ObjectReference)
	*n = append(*n, fmt.Sprintf("%s %s/%s %s %s: "+note, append([]any{kind, about.Namespace, about.Name, about.FieldPath, reason}, args...)...))
}

// watching runs a watcher in a synctest bubble. step waits for the watcher's next request, and returns the new Events.
func watching(t *testing.T, pods *lister, promises *breaches, test func(step func() []string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var events noted
		watcher := &PromiseWatcher{Reader: pods, Promises: promises, Events: &events, Log: logr.Discard()}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- watcher.Start(ctx) }()
		test(func() []string {
			time.Sleep(brokenInterval)
			synctest.Wait()
			before := events
			events = nil
			return before
		})
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Start = %v, want nil", err)
		}
	})
}

// pinnedPod returns a pod that runs someDigest in two containers.
func pinnedPod() corev1.Pod {
	pod := gatedPod()
	pinAll(pod)
	pod.Spec.InitContainers[0].Image = "localhost:5001/y:1@sha256:other"
	pod.Spec.Containers = pod.Spec.Containers[:2]
	return *pod
}

func TestPromiseWatcher_ReportsEachBrokenPromiseOnce(t *testing.T) {
	t.Parallel()
	promises := &breaches{}
	watching(t, &lister{pods: []corev1.Pod{pinnedPod(), *gatedPod()}}, promises, func(step func() []string) {
		want := []string{
			`Warning default/pod spec.containers{a} LayersChanged: Image "x:1": why`,
			`Warning default/pod spec.containers{b} LayersChanged: Image "x:1": why`,
		}
		if got := step(); got != nil {
			t.Errorf("Events without a broken promise = %q, want none", got)
		}
		promises.broken = []webhook.BrokenPromise{{Image: "x:1", Digest: someDigest, Reason: "LayersChanged", Detail: "why", At: time.Now()}}
		if diff := cmp.Diff(want, step()); diff != "" {
			t.Errorf("Events (-want +got):\n%s", diff)
		}
		if got := step(); got != nil {
			t.Errorf("Events about the same promise = %q, want none", got)
		}
		again := promises.broken[0]
		again.At = time.Now()
		promises.broken = append(promises.broken, again)
		if diff := cmp.Diff(want, step()); diff != "" {
			t.Errorf("Events about the next promise of the image (-want +got):\n%s", diff)
		}
	})
}

func TestPromiseWatcher_ReportsAfterErrors(t *testing.T) {
	t.Parallel()
	pods := &lister{pods: []corev1.Pod{pinnedPod()}, err: errors.New("no pods")}
	promises := &breaches{err: errors.New("no pusher")}
	watching(t, pods, promises, func(step func() []string) {
		promises.broken = []webhook.BrokenPromise{{Image: "x:1", Digest: someDigest, Reason: "PromiseWithdrawn", Detail: "why"}}
		if got := step(); got != nil {
			t.Errorf("Events without an answer of the pusher = %q, want none", got)
		}
		promises.err = nil
		if got := step(); got != nil {
			t.Errorf("Events without a list of pods = %q, want none", got)
		}
		pods.err = nil
		if got := step(); len(got) != 2 {
			t.Errorf("Events after the errors = %q, want 2", got)
		}
	})
}
