package internal_test

import (
	"errors"
	"go/build"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "kind-local-registry"

// ours lists the packages of this module that each package imports. Dependencies point inwards, in this order: cmd; webhook and
// setup's packages in internal/host; internal/pusher; internal/docker and internal/push; internal/rules and internal/rewrite.
var ours = map[string]string{
	"charts":                           "",
	"charts/charttest":                 "charts config",
	"cmd/linker":                       "config internal/docker internal/httpserver internal/link",
	"cmd/registry":                     "config internal/httpserver internal/link/linkapi internal/registry",
	"cmd/setup":                        "config internal/disk internal/host internal/host/disk internal/host/images internal/host/kindcli internal/host/report internal/host/step internal/inventory internal/link/linkapi internal/podmanifest internal/push internal/pusher internal/rewrite internal/rules webhook/explain webhook/livepod webhook/uninstall webhook/watch",
	"cmd/webhook":                      "config internal/disk internal/docker internal/kindnode internal/link/linkapi internal/push internal/pusher internal/rewrite internal/rules webhook webhook/app webhook/lookup webhook/reachability webhook/uninstall",
	"config":                           "",
	"docs":                             "",
	"examples/hello":                   "",
	"hack/bench":                       "config internal/link/linkapi internal/pusher internal/rewrite",
	"hack/images":                      "",
	"internal":                         "",
	"internal/archive":                 "internal/push",
	"internal/archive/archivetest":     "",
	"internal/carried":                 "",
	"internal/coalesce":                "",
	"internal/disk":                    "config internal/inventory internal/push internal/rewrite",
	"internal/docker":                  "internal/pagecache internal/push internal/rewrite",
	"internal/docker/dockertest":       "",
	"internal/gateway":                 "",
	"internal/host":                    "config internal/disk internal/host/bundle internal/host/chart internal/host/cluster internal/host/disk internal/host/doctor internal/host/engine internal/host/images internal/host/kindconfig internal/host/node internal/host/report internal/host/service internal/host/step internal/push internal/pusher internal/rules",
	"internal/host/bundle":             "internal/host/report internal/host/step",
	"internal/host/chart":              "charts config internal/docker internal/host/bundle internal/host/cluster internal/host/service internal/host/step internal/push internal/pusher internal/rewrite internal/rules internal/yamltext",
	"internal/host/cluster":            "config internal/host/engine internal/host/kindconfig internal/host/node internal/host/step",
	"internal/host/disk":               "config internal/disk internal/host/step internal/pusher",
	"internal/host/doctor":             "config internal/host/chart internal/host/cluster internal/host/engine internal/host/images internal/host/node internal/host/report internal/host/service internal/host/step",
	"internal/host/engine":             "config internal/docker internal/host/step",
	"internal/host/engine/enginetest":  "",
	"internal/host/images":             "config internal/archive internal/host/engine internal/host/step internal/link/linkapi internal/push internal/rewrite",
	"internal/host/kindcli":            "",
	"internal/host/kindconfig":         "internal/host/node internal/host/step internal/yamltext",
	"internal/host/node":               "config internal/host/bundle internal/host/step",
	"internal/host/report":             "internal/host/step",
	"internal/host/service":            "config internal/carried internal/disk internal/host/engine internal/host/step internal/link/linkapi internal/pusher internal/rewrite internal/rules",
	"internal/host/step":               "",
	"internal/httpserver":              "",
	"internal/inventory":               "",
	"internal/kindnode":                "internal/disk",
	"internal/link":                    "config internal/coalesce internal/docker internal/httpserver internal/link/linkapi",
	"internal/link/linkapi":            "",
	"internal/pagecache":               "",
	"internal/pagecache/pagecachetest": "",
	"internal/podmanifest":             "internal/rewrite internal/yamltext",
	"internal/promise":                 "",
	"internal/push":                    "internal/inventory internal/promise",
	"internal/pusher":                  "config internal/coalesce internal/disk internal/docker internal/gateway internal/httpserver internal/inventory internal/link/linkapi internal/promise internal/push internal/rewrite internal/rules internal/similar",
	"internal/pusher/pushertest":       "internal/docker internal/docker/dockertest internal/push internal/pusher internal/registry/registrytest internal/rules",
	"internal/registry":                "config internal/gateway internal/httpserver internal/inventory internal/link/linkapi internal/pagecache internal/promise internal/registry/store",
	"internal/registry/registrytest":   "internal/httpserver internal/registry",
	"internal/registry/store":          "internal/inventory internal/promise",
	"internal/rewrite":                 "",
	"internal/rewrite/rewritetest":     "internal/rewrite",
	"internal/rules":                   "",
	"internal/similar":                 "internal/rewrite",
	"internal/yamltext":                "",
	"test/api":                         "",
	"test/daemon":                      "",
	"test/dockerd":                     "internal/docker internal/push internal/pusher internal/rules",
	"test/e2e":                         "",
	"test/load":                        "",
	"test/testimage":                   "",
	"webhook":                          "config internal/rewrite internal/rules webhook/lookup webhook/podimage",
	"webhook/app":                      "config internal/rules webhook webhook/certs webhook/delivery webhook/endpoint webhook/imagewatch webhook/lookup webhook/podimage webhook/restart webhook/uninstall",
	"webhook/certs":                    "config",
	"webhook/delivery":                 "config internal/rewrite webhook webhook/imagewatch webhook/podimage",
	"webhook/endpoint":                 "internal/httpserver webhook",
	"webhook/explain":                  "config internal/rewrite internal/rules webhook webhook/lookup webhook/podimage",
	"webhook/imagewatch":               "internal/rewrite",
	"webhook/livepod":                  "config internal/link/linkapi internal/rewrite webhook webhook/explain webhook/podimage",
	"webhook/lookup":                   "internal/coalesce internal/rewrite",
	"webhook/podimage":                 "config internal/rewrite",
	"webhook/reachability":             "config",
	"webhook/restart":                  "config internal/rewrite internal/rules webhook webhook/imagewatch webhook/podimage",
	"webhook/uninstall":                "config webhook/podimage",
	"webhook/watch":                    "internal/push internal/pusher internal/rewrite webhook/podimage",
	"webhook/webhooktest":              "config internal/rewrite internal/rules webhook",
}

// external lists the third-party imports of the packages that decide about a pod.
var external = map[string][]string{
	"internal/rewrite": {"github.com/distribution/reference"},
	"webhook/podimage": {
		"gomodules.xyz/jsonpatch/v2", "k8s.io/api/core/v1",
		"k8s.io/apimachinery/pkg/api/validation", "k8s.io/apimachinery/pkg/fields",
	},
	"webhook": {
		"github.com/go-logr/logr", "github.com/prometheus/client_golang/prometheus",
		"golang.org/x/sync/errgroup", "golang.org/x/sync/singleflight",
		"gomodules.xyz/jsonpatch/v2",
		"k8s.io/api/admission/v1", "k8s.io/api/apps/v1", "k8s.io/api/core/v1",
		"k8s.io/apimachinery/pkg/apis/meta/v1", "k8s.io/apimachinery/pkg/runtime", "k8s.io/apimachinery/pkg/types",
	},
}

func TestImports_AreThoseOfTheTable(t *testing.T) {
	t.Parallel()
	got := map[string]string{}
	for directory, found := range packages(t) {
		got[directory] = strings.Join(local(found.Imports), " ")
	}
	if diff := cmp.Diff(ours, got); diff != "" {
		t.Errorf("imports within the module (-want +got):\n%s", diff)
	}
}

func TestImports_BelowInternalNeverNameTheWebhook(t *testing.T) {
	t.Parallel()
	for directory, imports := range ours {
		for _, imported := range strings.Fields(imports) {
			if strings.HasPrefix(directory, "internal/") && (imported == "webhook" || strings.HasPrefix(imported, "webhook/")) {
				t.Errorf("%s imports %s", directory, imported)
			}
		}
	}
}

func TestImports_OfTheDecisionAreFew(t *testing.T) {
	t.Parallel()
	found := packages(t)
	for directory, want := range external {
		got := slices.DeleteFunc(slices.Clone(found[directory].Imports), func(path string) bool {
			first, _, _ := strings.Cut(path, "/")
			return !strings.Contains(first, ".")
		})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("imports of %s (-want +got):\n%s", directory, diff)
		}
	}
}

func TestImports_KeepKindOutOfTheWebhook(t *testing.T) {
	t.Parallel()
	found := packages(t)
	for reached, left := map[string]bool{}, []string{"cmd/webhook"}; len(left) > 0; {
		directory := left[0]
		left = left[1:]
		if reached[directory] {
			continue
		}
		reached[directory] = true
		left = append(left, local(found[directory].Imports)...)
		for _, path := range found[directory].Imports {
			if strings.HasPrefix(path, "sigs.k8s.io/kind") {
				t.Errorf("cmd/webhook links %s by %s", path, directory)
			}
		}
	}
}

// packages returns the module's packages by directory. It omits test files and packages that need a build tag.
func packages(t *testing.T) map[string]*build.Package {
	t.Helper()
	found := map[string]*build.Package{}
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		if name := entry.Name(); name == "testdata" || name != ".." && strings.HasPrefix(name, ".") {
			return filepath.SkipDir
		}
		if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && path != ".." {
			return filepath.SkipDir // another module
		}
		pkg, err := build.ImportDir(path, 0)
		if noGo := new(build.NoGoError); errors.As(err, &noGo) {
			return nil
		}
		found[strings.TrimPrefix(path, "../")] = pkg
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// local returns those imports that belong to this module, without the module's name.
func local(imports []string) []string {
	var found []string
	for _, path := range imports {
		if inside, ok := strings.CutPrefix(path, module+"/"); ok {
			found = append(found, inside)
		}
	}
	return found
}
