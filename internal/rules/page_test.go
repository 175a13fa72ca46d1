package rules_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/rules"
)

func TestRulesPage_ShowsDefaultsInExample(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(page)
	if example == nil {
		t.Fatal("docs/rules.md has no example")
	}
	want := rules.Default()
	want.Images.Exclude = []string{"quay.io/**", "nginx", "example/*:release-*", "**:latest"}
	want.Namespaces.Exclude = []string{"prod-*"}
	want.RestartOnRebuild.Images.Exclude = []string{"**/database"}
	if diff := cmp.Diff(want, parse(t, string(example[1]))); diff != "" {
		t.Errorf("rules in the example of docs/rules.md (-want +got):\n%s", diff)
	}
}
