package service

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"kind-local-registry/charts/charttest"
	"kind-local-registry/config"
	"kind-local-registry/internal/rules"
)

func TestReadRules_RejectsInvalidRulesWithLineAndRemedy(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, []byte("images:\n  exclude: nginx\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][]string{
		path:           {path + ":2: images.exclude", "want a list", "docs/rules.md"},
		path + ".none": {path + ".none", "--rules"},
	} {
		_, err := ReadRules(path)
		for _, want := range want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("ReadRules(%s) = %v, want an error with %q", path, err, want)
			}
		}
	}
}

func TestReadRules_AddsDefaultsToTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, []byte("alwaysPull: Host\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := rules.Default()
	want.AlwaysPull = rules.AlwaysPullHost
	read, err := ReadRules(path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := read.Parse()
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("rules: %v, (-want +got):\n%s", err, diff)
	}
}

func TestOpenPusher_KeepsTheDocumentOfTheContainer(t *testing.T) {
	t.Parallel()
	for _, document := range []string{"", "# mine\nimages:\n  exclude: [\"a=b\"]\n"} {
		w := newWorld(t)
		w.openPusher(t, Rules{document: document, chosen: true}).mustApply(t)
		if got := w.openPusher(t, Rules{}).rules; got != document {
			t.Errorf("without a choice the rules are %q, want %q", got, document)
		}
		if got := w.openPusher(t, Rules{chosen: true}).rules; got != "" {
			t.Errorf("the rules are %q, want the default rules, which were chosen", got)
		}
	}
}

func TestRulesValues_GiveTheChartTheSameRules(t *testing.T) {
	t.Parallel()
	for _, document := range []string{
		"",
		"# nothing\n",
		"images:\npods: {exclude: []}\nloopGuard: {recreations: 0, within: 1us}\n",
		"images: {include: &a [yes, '1.0', \"**:dev\"], exclude: *a}\nalwaysPull: Host\nnamespaces: {exclude: ['{a,b}-*']}\n",
	} {
		want, err := rules.Parse("rules.yaml", []byte(document))
		if err != nil {
			t.Fatal(err)
		}
		values, err := (&Pusher{rules: document}).RulesValues()
		if err != nil {
			t.Fatal(err)
		}
		got, err := rules.Parse("ConfigMap", []byte(renderedRules(t, values)))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("rules of the chart with %q: %v, (-want +got):\n%s", document, err, diff)
		}
	}
}

// renderedRules returns the rules document that the chart renders from the values.
func renderedRules(t *testing.T, values map[string]any) string {
	t.Helper()
	objects, err := charttest.Objects(map[string]any{"rules": values})
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range objects {
		var rendered corev1.ConfigMap
		if object.GetKind() != "ConfigMap" || object.GetName() != config.RulesConfigMap {
			continue
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &rendered); err != nil {
			t.Fatal(err)
		}
		return rendered.Data[config.RulesKey]
	}
	t.Fatalf("the chart has no ConfigMap %s", config.RulesConfigMap)
	return ""
}

func TestRulesValues_RejectInvalidKeptRulesWithRemedy(t *testing.T) {
	t.Parallel()
	_, err := (&Pusher{rules: "rules: {}"}).RulesValues()
	if err == nil || !strings.Contains(err.Error(), config.PusherContainer) || !strings.Contains(err.Error(), "--rules") {
		t.Errorf("RulesValues = %v", err)
	}
}
