package explain_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/config"
	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/pusher/pushertest"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/internal/rules"
	"kind-local-registry/webhook/explain"
	"kind-local-registry/webhook/lookup"
)

const registryHost = "localhost:5001"

// counting is a Looker that counts the lookups of each name.
type counting struct {
	looker lookup.Looker

	mu      sync.Mutex
	lookups map[string]int
}

func (c *counting) Lookup(ctx context.Context, name rewrite.Name) (rewrite.Presence, error) {
	c.mu.Lock()
	c.lookups[name.String()]++
	c.mu.Unlock()
	return c.looker.Lookup(ctx, name)
}

// newExplainer returns an Explainer for a host with two images, and a counter of its lookups. The image example/app:local is in
// the registry; example/worker:local is not.
func newExplainer(t *testing.T) (explain.Explainer, *counting) {
	t.Helper()
	engine := dockertest.NewEngine(t)
	engine.Tag("docker.io/example/app:local", dockertest.NewImage("app", dockertest.Layer("app")))
	engine.Tag("docker.io/example/worker:local", dockertest.NewImage("worker", dockertest.Layer("worker")))
	service := pushertest.NewService(t, engine, registryHost)
	if _, err := service.Push(t.Context(), "example/app:local", func(push.Progress) {}); err != nil {
		t.Fatal(err)
	}
	counted := &counting{looker: service, lookups: map[string]int{}}
	return explain.Explainer{
		RegistryHost: registryHost, Looker: counted, Rules: rules.Default(),
		ClusterLabels: func(context.Context) map[string]map[string]string { return nil },
	}, counted
}

// podOf returns a pod with one container for each image.
func podOf(namespace string, images ...string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace}}
	for i, image := range images {
		container := corev1.Container{Name: string(rune('a' + i)), Image: image, ImagePullPolicy: corev1.PullNever}
		pod.Spec.Containers = append(pod.Spec.Containers, container)
	}
	return pod
}

// reasons returns the reasons of the decisions, pod by pod.
func reasons(explanations []explain.Explanation) [][]rewrite.Reason {
	var all [][]rewrite.Reason
	for _, explanation := range explanations {
		var own []rewrite.Reason
		for _, outcome := range explanation.Outcomes {
			own = append(own, outcome.Decision.Reason)
		}
		all = append(all, own)
	}
	return all
}

func TestExplain_DecidesAsTheWebhookDoes(t *testing.T) {
	t.Parallel()
	explainer, _ := newExplainer(t)
	explainer.Labels = map[string]map[string]string{"apart": {config.RewriteAnnotation: "false"}}
	got := explainer.Explain(t.Context(), []*corev1.Pod{
		podOf("default", "example/app:local", "example/worker:local", "example/none:local"),
		podOf("apart", "example/app:local"),
		podOf("kube-system", "example/app:local"),
	})
	want := [][]rewrite.Reason{
		{rewrite.Rewritten, rewrite.RewrittenPushing, rewrite.NotOnHost}, {rewrite.OptedOut}, {rewrite.ExcludedByRule},
	}
	if diff := cmp.Diff(want, reasons(got)); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
}

func TestExplain_LooksUpNothingForExemptNamespaces(t *testing.T) {
	t.Parallel()
	explainer, counted := newExplainer(t)
	for _, namespace := range config.ExemptNamespaces() {
		decision := explainer.Explain(t.Context(), []*corev1.Pod{podOf(namespace, "example/app:local")})[0].Outcomes[0].Decision
		want := rewrite.Unchanged("example/app:local", rewrite.ExcludedByRule, "exempt namespace "+namespace)
		if diff := cmp.Diff(want, decision); diff != "" {
			t.Errorf("decision in %s (-want +got):\n%s", namespace, diff)
		}
	}
	if len(counted.lookups) > 0 {
		t.Errorf("lookups = %v, want none", counted.lookups)
	}
}

func TestExplain_LooksUpEachImageOnce(t *testing.T) {
	t.Parallel()
	explainer, counted := newExplainer(t)
	var pods []*corev1.Pod
	for range 40 { // more pods than are explained concurrently
		pods = append(pods, podOf("default", "example/app:local", "docker.io/example/app:local", "example/worker:local"))
	}
	for _, own := range reasons(explainer.Explain(t.Context(), pods)) {
		if want := []rewrite.Reason{rewrite.Rewritten, rewrite.Rewritten, rewrite.RewrittenPushing}; !slices.Equal(own, want) {
			t.Errorf("reasons = %q, want %q", own, want)
		}
	}
	want := map[string]int{"docker.io/example/app:local": 1, "docker.io/example/worker:local": 1}
	if diff := cmp.Diff(want, counted.lookups); diff != "" {
		t.Errorf("lookups (-want +got):\n%s", diff)
	}
}

func TestExplanation_PatchAddsNoGate(t *testing.T) {
	t.Parallel()
	explainer, _ := newExplainer(t)
	patch, err := explainer.Explain(t.Context(), []*corev1.Pod{podOf("default", "example/worker:local")})[0].Patch()
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, operation := range patch {
		paths = append(paths, operation.Path)
	}
	want := []string{"/spec/containers/0/image", "/spec/containers/0/imagePullPolicy", "/metadata/annotations"}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Errorf("paths that the patch changes (-want +got):\n%s", diff)
	}
}

func TestExplain_ReadsClusterLabelsOnlyIfNeeded(t *testing.T) {
	t.Parallel()
	optedOut := map[string]string{config.RewriteAnnotation: "false"}
	known := []*corev1.Pod{podOf("apart", "example/app:local"), podOf("kube-system", "example/app:local")}
	for name, test := range map[string]struct {
		pods  []*corev1.Pod
		reads int
	}{
		"all labels are known":               {known, 0},
		"one namespace's labels are unknown": {append(known, podOf("other", "example/app:local")), 1},
	} {
		explainer, _ := newExplainer(t)
		var reads int
		explainer.Labels = map[string]map[string]string{"apart": optedOut}
		explainer.ClusterLabels = func(context.Context) map[string]map[string]string {
			reads++
			return map[string]map[string]string{"apart": nil, "other": optedOut}
		}
		want := [][]rewrite.Reason{{rewrite.OptedOut}, {rewrite.ExcludedByRule}, {rewrite.OptedOut}}[:len(test.pods)]
		if diff := cmp.Diff(want, reasons(explainer.Explain(t.Context(), test.pods))); diff != "" || reads != test.reads {
			t.Errorf("%s: labels were read %d times, want %d; reasons (-want +got):\n%s", name, reads, test.reads, diff)
		}
	}
}
