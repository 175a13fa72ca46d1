package rewrite_test

import (
	"testing"

	"kind-local-registry/internal/rewrite"
)

func TestAlwaysByDefault_FollowsTheAPIServer(t *testing.T) {
	t.Parallel()
	const digest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for image, want := range map[string]bool{
		"a": true, "a:latest": true, "localhost:5001/a": true, "a:latest" + digest: true,
		"a:1": false, "a" + digest: false, "a:1" + digest: false, "NOT AN IMAGE": false, "": false,
	} {
		if got := rewrite.AlwaysByDefault(image); got != want {
			t.Errorf("AlwaysByDefault(%q) = %v, want %v", image, got, want)
		}
	}
}
