package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/config"
)

func TestHosting_DocumentFollowsKEP1755(t *testing.T) {
	t.Parallel()
	want := `host: "localhost:5001"
hostFromClusterNetwork: "kind-registry:5000"
help: "https://kind.sigs.k8s.io/docs/user/local-registry/"
`
	if got := (hosting{registryHost: config.RegistryHost(5001)}).document(); got != want {
		t.Errorf("document = %s, want %s", got, want)
	}
}

func TestHosting_RestoresAConfigMapThatItReplaced(t *testing.T) {
	t.Parallel()
	foreign := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{ManagedBy: "ctlptl", "team": "a"}},
		Data:       map[string]string{hostingKey: "host: \"localhost:5000\"\n", "note": "theirs"},
	}
	ours := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Labels: map[string]string{ManagedBy: config.Name, "team": "a"}, Annotations: map[string]string{beforeAnnotation: replaced(foreign), "theirs": "too"},
		},
		Data: map[string]string{hostingKey: "host: \"localhost:5001\"\n", "note": "theirs"},
	}
	if again := replaced(ours); again != ours.Annotations[beforeAnnotation] {
		t.Errorf("after a second apply the annotation is %q, want %q", again, ours.Annotations[beforeAnnotation])
	}
	if err := restore(ours, ours.Annotations[beforeAnnotation]); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(foreign.Data, ours.Data); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(foreign.Labels, ours.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"theirs": "too"}, ours.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
}

func TestReplaced_IsEmptyForOurConfigMap(t *testing.T) {
	t.Parallel()
	ours := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{ManagedBy: config.Name}}}
	if got := replaced(ours); got != "" {
		t.Errorf("replaced = %q, want nothing to restore", got)
	}
}
