// Package rewritetest makes references for tests.
package rewritetest

import (
	"testing"

	"kind-local-registry/internal/rewrite"
)

// Name parses image. It fails the test if image is no valid reference.
func Name(t testing.TB, image string) rewrite.Name {
	t.Helper()
	name, err := rewrite.Parse(image)
	if err != nil {
		t.Fatal(err)
	}
	return name
}
