package host

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/config"
	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/internal/rules"
	"kind-local-registry/webhook"
	"kind-local-registry/webhook/lookup"
)

// counting is a Looker that counts how often it is asked about each name.
type counting struct {
	looker lookup.Looker

	mu    sync.Mutex
	asked map[string]int
}

func (c *counting) Lookup(ctx context.Context, name rewrite.Name) (rewrite.Presence, error) {
	c.mu.Lock()
	c.asked[name.String()]++
	c.mu.Unlock()
	return c.looker.Lookup(ctx, name)
}

// newExplaining returns what explains by a pusher of the engine's images, of which example/app:local is in the registry
// and example/worker:local is not.
func newExplaining(t *testing.T, labels map[string]map[string]string) (explaining, *counting) {
	t.Helper()
	engine := dockertest.NewEngine(t)
	engine.Tag("docker.io/example/app:local", dockertest.NewImage("app", dockertest.Layer("app")))
	engine.Tag("docker.io/example/worker:local", dockertest.NewImage("worker", dockertest.Layer("worker")))
	with, _ := newPushing(t, engine)
	if pushed := pushAll(t.Context(), with, []string{"example/app:local"})[0]; pushed.Err != nil {
		t.Fatal(pushed.Err)
	}
	looker, ok := with.to.(lookup.Looker)
	if !ok {
		t.Fatalf("%T tells nothing about images", with.to)
	}
	counted := &counting{looker: looker, asked: map[string]int{}}
	decider := &webhook.Decider{RegistryHost: testRegistryHost, Looker: newOnce(counted), Rules: rules.Default}
	return explaining{decider, labels}, counted
}

// explainedPod returns a pod with a container of each image.
func explainedPod(namespace string, images ...string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace}}
	for i, image := range images {
		container := corev1.Container{Name: string(rune('a' + i)), Image: image, ImagePullPolicy: corev1.PullNever}
		pod.Spec.Containers = append(pod.Spec.Containers, container)
	}
	return pod
}

// reasons returns the reasons of what was explained, pod by pod.
func reasons(explained []Explained) [][]rewrite.Reason {
	var all [][]rewrite.Reason
	for _, e := range explained {
		var own []rewrite.Reason
		for _, outcome := range e.Outcomes {
			own = append(own, outcome.Decision.Reason)
		}
		all = append(all, own)
	}
	return all
}

func TestExplainAll_DecidesAsTheWebhookDoes(t *testing.T) {
	t.Parallel()
	with, _ := newExplaining(t, map[string]map[string]string{"apart": {config.RewriteAnnotation: "false"}})
	got := explainAll(t.Context(), with, []*corev1.Pod{
		explainedPod("default", "example/app:local", "example/worker:local", "example/none:local"),
		explainedPod("apart", "example/app:local"),
		explainedPod("kube-system", "example/app:local"),
	})
	want := [][]rewrite.Reason{
		{rewrite.Rewritten, rewrite.RewrittenPushing, rewrite.NotOnHost}, {rewrite.OptedOut}, {rewrite.ExcludedByRule},
	}
	if diff := cmp.Diff(want, reasons(got)); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
}

func TestExplainAll_SaysThatTheWebhookIsNotAskedInNamespacesOfTheSystem(t *testing.T) {
	t.Parallel()
	with, counted := newExplaining(t, nil)
	for _, namespace := range config.ExemptNamespaces() {
		decision := explainAll(t.Context(), with, []*corev1.Pod{explainedPod(namespace, "example/app:local")})[0].Outcomes[0].Decision
		want := rewrite.Unchanged("example/app:local", rewrite.ExcludedByRule, "the webhook is never asked about pods of namespace "+namespace)
		if diff := cmp.Diff(want, decision); diff != "" {
			t.Errorf("decision in %s (-want +got):\n%s", namespace, diff)
		}
	}
	if len(counted.asked) > 0 {
		t.Errorf("the pusher was asked about %v, want nothing", counted.asked)
	}
}

func TestExplainAll_AsksOnceAboutAnImageOfManyPods(t *testing.T) {
	t.Parallel()
	with, counted := newExplaining(t, nil)
	var pods []*corev1.Pod
	for range 5 * parallelCalls {
		pods = append(pods, explainedPod("default", "example/app:local", "docker.io/example/app:local", "example/worker:local"))
	}
	for _, own := range reasons(explainAll(t.Context(), with, pods)) {
		if want := []rewrite.Reason{rewrite.Rewritten, rewrite.Rewritten, rewrite.RewrittenPushing}; !slices.Equal(own, want) {
			t.Errorf("reasons %q, want %q", own, want)
		}
	}
	want := map[string]int{"docker.io/example/app:local": 1, "docker.io/example/worker:local": 1}
	if diff := cmp.Diff(want, counted.asked); diff != "" {
		t.Errorf("how often was asked (-want +got):\n%s", diff)
	}
}

func TestExplained_PatchHasNoGate(t *testing.T) {
	t.Parallel()
	with, _ := newExplaining(t, nil)
	patch, err := explainAll(t.Context(), with, []*corev1.Pod{explainedPod("default", "example/worker:local")})[0].Patch()
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, operation := range patch {
		paths = append(paths, operation.Path)
	}
	want := []string{"/spec/containers/0/image", "/spec/containers/0/imagePullPolicy", "/metadata/annotations"}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Errorf("the patch changes (-want +got):\n%s", diff)
	}
}

func TestExplain_SaysThatItWasInterruptedAndNotThatNobodyAnswers(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	explained, err := (&System{rules: "rules: {}"}).Explain(ctx, nil, Assumptions{})
	if explained != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("Explain = %v, %v; want %v", explained, err, context.Canceled)
	}
}

func TestExplain_RefusesKeptRulesThatAreBad(t *testing.T) {
	t.Parallel()
	_, err := (&System{rules: "rules: {}"}).Explain(t.Context(), nil, Assumptions{})
	if err == nil || !strings.HasPrefix(err.Error(), "nothing can be explained: rules of "+config.PusherContainer+":1") {
		t.Errorf("Explain = %v, want an error about the rules", err)
	}
}

func TestNamespaceLabels_AreNotAskedOfTheClusterWhereAllAreKnown(t *testing.T) {
	t.Parallel()
	known := map[string]map[string]string{"apart": {config.RewriteAnnotation: "false"}}
	pods := []*corev1.Pod{explainedPod("apart", "a"), explainedPod("kube-system", "a")}
	got := (&System{}).namespaceLabels(t.Context(), pods, known) // without a Docker daemon that knows of clusters
	if diff := cmp.Diff(known, got); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}
