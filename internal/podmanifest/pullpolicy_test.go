package podmanifest_test

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestTemplates_DefaultPullPolicyByTag(t *testing.T) {
	t.Parallel()
	const digest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for image, want := range map[string]corev1.PullPolicy{
		"a":                    corev1.PullAlways,
		"a:latest":             corev1.PullAlways,
		"host:5000/a":          corev1.PullAlways,
		"a:latest" + digest:    corev1.PullAlways,
		"a:1":                  corev1.PullIfNotPresent,
		"a" + digest:           corev1.PullIfNotPresent,
		"NO IMAGE":             corev1.PullIfNotPresent,
		"":                     corev1.PullIfNotPresent,
		"localhost:5001/a:new": corev1.PullIfNotPresent,
	} {
		found := templates(t, read(t, strings.Replace(pod("a"), "a:1", fmt.Sprintf("%q", image), 1)))
		if got := found[0].Pod.Spec.Containers[0].ImagePullPolicy; got != want {
			t.Errorf("pull policy of %q = %q, want %q", image, got, want)
		}
	}
}
