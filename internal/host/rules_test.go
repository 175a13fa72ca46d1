package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"kind-local-registry/charts/charttest"
	"kind-local-registry/config"
	"kind-local-registry/internal/rules"
)

func TestReadRules_RefusesBadRulesWithFileLineAndRemedy(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, []byte("images:\n  exclude: nginx\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][]string{
		path:           {path + ":2: images.exclude", "want a list", "docs/rules.md"},
		path + ".none": {path + ".none", "--rules"},
	} {
		_, err := Options{RulesFile: path}.readRules()
		for _, want := range want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("readRules of %s = %v, want an error with %q", path, err, want)
			}
		}
	}
}

func TestReadRules_AreThoseOfTheFileWithTheDefaultsOfTheRest(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, []byte("alwaysPull: Host\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := rules.Default()
	want.AlwaysPull = rules.AlwaysPullHost
	got, err := ReadRules(path)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("ReadRules: %v, (-want +got):\n%s", err, diff)
	}
	if _, err := ReadRules(path + ".none"); err == nil {
		t.Error("ReadRules of no file succeeds")
	}
}

func TestRules_AreReadBackFromTheContainerAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	for _, document := range []string{"", "# mine\nimages:\n  exclude: [\"a=b\"]\n"} {
		made := &container.InspectResponse{Config: &container.Config{
			Env: append([]string{"GOMEMLIMIT=48MiB"}, (&System{rules: document}).rulesVariables()...),
		}}
		if got := variable(made, config.RulesVariable); got != document {
			t.Errorf("variable = %q, want %q", got, document)
		}
	}
	if got := variable(&container.InspectResponse{}, config.RulesVariable); got != "" {
		t.Errorf("variable of a container without settings = %q", got)
	}
}

func TestRulesValues_AreTheSameRulesInTheChart(t *testing.T) {
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
		values, err := (&System{rules: document}).rulesValues()
		if err != nil {
			t.Fatal(err)
		}
		got, err := rules.Parse("ConfigMap", []byte(renderedRules(t, values)))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("ParseRules of the chart with %q: %v, (-want +got):\n%s", document, err, diff)
		}
	}
}

// renderedRules returns the document that the chart makes of the values.
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

func TestRulesValues_RefuseKeptRulesThatAreBadWithARemedy(t *testing.T) {
	t.Parallel()
	_, err := (&System{rules: "rules: {}"}).rulesValues()
	if err == nil || !strings.Contains(err.Error(), config.PusherContainer) || !strings.Contains(err.Error(), "--rules") {
		t.Errorf("rulesValues = %v", err)
	}
}
