package webhook_test

import (
	"go/build"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Arrows point inwards: what these packages may import, besides the standard library, is all that is listed here.
func TestImports_PointInwards(t *testing.T) {
	t.Parallel()
	for directory, want := range map[string][]string{
		"rewrite": {"github.com/distribution/reference"},
		"podimage": {
			"gomodules.xyz/jsonpatch/v2", "k8s.io/api/core/v1",
			"k8s.io/apimachinery/pkg/api/validation", "k8s.io/apimachinery/pkg/fields",
			"kind-local-registry/config", "kind-local-registry/internal/rewrite",
		},
		".": {
			"github.com/go-logr/logr", "github.com/prometheus/client_golang/prometheus",
			"golang.org/x/sync/errgroup", "golang.org/x/sync/semaphore", "golang.org/x/sync/singleflight",
			"gomodules.xyz/jsonpatch/v2",
			"k8s.io/api/admission/v1", "k8s.io/api/apps/v1", "k8s.io/api/core/v1",
			"k8s.io/apimachinery/pkg/apis/meta/v1", "k8s.io/apimachinery/pkg/runtime", "k8s.io/apimachinery/pkg/types",
			"kind-local-registry/config", "kind-local-registry/internal/coalesce",
			"kind-local-registry/webhook/podimage", "kind-local-registry/internal/rewrite",
		},
	} {
		found, err := build.ImportDir(directory, 0)
		if err != nil {
			t.Fatal(err)
		}
		got := slices.DeleteFunc(found.Imports, func(path string) bool {
			first, _, _ := strings.Cut(path, "/")
			return !strings.Contains(first, ".") && first != "kind-local-registry"
		})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("imports of %s (-want +got):\n%s", directory, diff)
		}
	}
}
