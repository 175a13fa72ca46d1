package host

import (
	"context"

	"kind-local-registry/internal/host/engine"
	"kind-local-registry/internal/host/kindconfig"
)

// MergeKindConfig returns the text of a kind configuration with the patches that nodes on this Docker host need to pull from the
// registry; see kindconfig.Merge. If text is "", it starts from kind's default configuration.
func MergeKindConfig(ctx context.Context, text string) (string, error) {
	docker, err := engine.Open(ctx)
	if err != nil {
		return "", err
	}
	if text == "" {
		text = kindconfig.Default
	}
	return kindconfig.Merge(text, docker.CgroupV1)
}
