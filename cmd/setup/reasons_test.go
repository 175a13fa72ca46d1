package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/rewrite"
)

// reasonRow matches a row of the table in docs/reasons.md, and captures the reason and its meaning.
var reasonRow = regexp.MustCompile("(?m)^\\| \\[`([A-Za-z]+)`\\]\\([^)]*\\) \\| ([^|]*) \\|")

func TestReasonTexts_HaveTheMeaningsOfTheDocumentation(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/reasons.md")
	if err != nil {
		t.Fatal(err)
	}
	want, got := map[string]string{}, map[string]string{}
	for _, row := range reasonRow.FindAllStringSubmatch(string(page), -1) {
		want[row[1]] = strings.ReplaceAll(row[2], "`", "")
	}
	for _, reason := range rewrite.Reasons() {
		got[string(reason)] = reasonTexts[reason].meaning
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("meanings of the reasons (-docs/reasons.md +reasonTexts):\n%s", diff)
	}
}
