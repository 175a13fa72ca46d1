package charts_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/chart/common"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"kind-local-registry/charts"
	"kind-local-registry/charts/charttest"
	"kind-local-registry/config"
	"kind-local-registry/internal/rules"
)

func TestReadme_ListsEveryValue(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("kind-local-registry/README.md")
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile("kind-local-registry/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]any{}
	if err := yaml.Unmarshal(document, &values); err != nil {
		t.Fatal(err)
	}
	for key, value := range values {
		keys := []string{key}
		if group, ok := value.(map[string]any); ok && len(group) > 0 && key != "resources" {
			keys = nil
			for inner := range group {
				keys = append(keys, key+"."+inner)
			}
		}
		for _, key := range keys {
			if !strings.Contains(string(readme), "| `"+key+"` |") {
				t.Errorf("README.md does not list value %s", key)
			}
		}
	}
}

func TestValues_AreRefusedIfInvalid(t *testing.T) {
	t.Parallel()
	for name, values := range map[string]map[string]any{
		"an unknown key":            {"unknown": 1},
		"an unknown key in a group": {"pusher": map[string]any{"host": "x"}},
		"a name for an address":     {"pusher": map[string]any{"address": "kind-registry-pusher"}},
		"a string for a number":     {"replicas": "two"},
		"an invalid digest":         {"image": map[string]any{"digest": "latest"}},
		"an invalid deadline":       {"pushDeadline": "soon"},
		"an unknown rule":           {"rules": map[string]any{"image": map[string]any{}}},
		"a string for a list":       {"rules": map[string]any{"images": map[string]any{"exclude": "nginx"}}},
		"an unknown enum value":     {"rules": map[string]any{"alwaysPull": "Never"}},
		"a CIDR without prefix":     {"networkPolicy": map[string]any{"apiServerCIDRs": []any{"172.18.0.2"}}},
		"a string for a boolean":    {"policy": map[string]any{"enabled": "off"}},
		"a negative count":          {"rules": map[string]any{"loopGuard": map[string]any{"recreations": -1}}},
	} {
		if _, err := charttest.Objects(values); err == nil {
			t.Errorf("%s: Objects(%v): no error", name, values)
		}
	}
}

func TestValues_DefaultToConfig(t *testing.T) {
	t.Parallel()
	loaded, err := charts.Load()
	if err != nil {
		t.Fatal(err)
	}
	host := config.RegistryHost(config.RegistryPort)
	for path, want := range map[string]any{
		"registry.host": host, "image.repository": host + "/" + config.WebhookImage, "pusher.port": float64(config.PusherPort),
	} {
		if got, err := common.Values(loaded.Values).PathValue(path); err != nil || got != want {
			t.Errorf("value %s = %v, %v, want %v", path, got, err, want)
		}
	}
}

func TestRules_ParseToTheValues(t *testing.T) {
	t.Parallel()
	defaults := rules.Default()
	some := defaults
	some.Images = rules.Selection{Include: []string{"quay.io/**"}, Exclude: []string{"*/a", "**:{{ .x }}", "yes"}}
	some.Pods.Exclude = []string{}
	some.LoopGuard.Recreations = 0
	for name, tt := range map[string]struct {
		values map[string]any
		want   rules.Rules
	}{
		"no rules": {nil, defaults},
		"some rules": {map[string]any{
			"images":    map[string]any{"include": []any{"quay.io/**"}, "exclude": []any{"*/a", "**:{{ .x }}", "yes"}},
			"pods":      map[string]any{"exclude": []any{}},
			"loopGuard": map[string]any{"recreations": 0, "within": "5m0s"},
		}, some},
	} {
		objects := render(t, map[string]any{"rules": tt.values})
		got, err := rules.Parse(name, []byte(find[corev1.ConfigMap](t, objects, "ConfigMap", config.RulesConfigMap).Data[config.RulesKey]))
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
			t.Errorf("%s: Parse: error %v, (-want +got):\n%s", name, err, diff)
		}
	}
}
