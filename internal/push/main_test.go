package push_test

import (
	"testing"

	"kind-local-registry/internal/registry/registrytest"
)

func TestMain(m *testing.M) { registrytest.Main(m) }
