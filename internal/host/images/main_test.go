package images

import (
	"testing"

	"kind-local-registry/internal/registry/registrytest"
)

func TestMain(m *testing.M) { registrytest.Main(m) }
