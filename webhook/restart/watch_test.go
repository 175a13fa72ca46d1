package restart

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/config"
)

func TestOwnerOf_FindsTheWorkload(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		apiVersion, kind, owner, hash string
		want                          string // "" for none
	}{
		"a Deployment's pod":        {"apps/v1", "ReplicaSet", "web-5d8f", "5d8f", "deployment/web in namespace dev"},
		"a ReplicaSet's own pod":    {"apps/v1", "ReplicaSet", "web", "", ""},
		"a StatefulSet's pod":       {"apps/v1", "StatefulSet", "db", "", "statefulset/db in namespace dev"},
		"a DaemonSet's pod":         {"apps/v1", "DaemonSet", "log", "", "daemonset/log in namespace dev"},
		"a Job's pod":               {"batch/v1", "Job", "once", "", ""},
		"another API's StatefulSet": {"apps.kruise.io/v1", "StatefulSet", "db", "", ""},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Namespace:       "dev",
			OwnerReferences: []metav1.OwnerReference{{APIVersion: tt.apiVersion, Kind: tt.kind, Name: tt.owner, Controller: new(true)}},
		}}
		if tt.hash != "" {
			pod.Labels = map[string]string{appsv1.DefaultDeploymentUniqueLabelKey: tt.hash}
		}
		got, ok := ownerOf(pod)
		if ok != (tt.want != "") || ok && got.String() != tt.want {
			t.Errorf("%s: ownerOf = %s, %v, want %q", name, got, ok, tt.want)
		}
	}
	if got, ok := ownerOf(&corev1.Pod{}); ok {
		t.Errorf("ownerOf a pod without an owner = %s, want none", got)
	}
}

func TestStrip_KeepsOnlyWhatIsRead(t *testing.T) {
	t.Parallel()
	full := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: "dev", Name: "web", UID: "uid", ResourceVersion: "7", Generation: 3,
		Annotations:   map[string]string{config.RestartAnnotation: "true", "large": "text"},
		Labels:        map[string]string{"app": "web"},
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
	}}
	want := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: "dev", Name: "web", UID: "uid", ResourceVersion: "7", Generation: 3,
		Annotations: map[string]string{config.RestartAnnotation: "true"},
	}}
	got, err := Strip(full)
	if diff := cmp.Diff(any(want), got); err != nil || diff != "" {
		t.Errorf("Strip: error %v, (-want +got):\n%s", err, diff)
	}
}
