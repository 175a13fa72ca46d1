package rewrite_test

import (
	"strings"
	"testing"

	"kind-local-registry/internal/rewrite"
)

const registryHost = "localhost:5001"

const someDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestParse_RefusesInvalidReferences(t *testing.T) {
	t.Parallel()
	for _, image := range []string{"", ":1", "UPPER", "a//b", "a:b:c", "a@sha256:short", strings.Repeat("a", 300)} {
		if name, err := rewrite.Parse(image); err == nil {
			t.Errorf("Parse(%q) = %s, want an error", image, name)
		}
	}
}
