// Package rewritetest creates names for tests.
package rewritetest

import (
	"testing"

	"kind-local-registry/internal/rewrite"
)

// Name parses image and fails the test if it is not a valid reference.
func Name(t testing.TB, image string) rewrite.Name {
	t.Helper()
	name, err := rewrite.Parse(image)
	if err != nil {
		t.Fatal(err)
	}
	return name
}
