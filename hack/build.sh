#!/usr/bin/env bash
# Builds bin/webhook and bin/setup, static. setup carries the images of the webhook and of the registry (internal/helper),
# for linux on the architecture that is built for.
set -o errexit -o nounset -o pipefail
cd "$(dirname "$0")/.."

version=$(sed -nE 's/^appVersion: *"?([^"]+)"?$/\1/p' charts/kind-local-registry/Chart.yaml)
arch=$(go env GOARCH)
flags=(-trimpath -ldflags "-s -w -X kind-local-registry/config.Version=$version")
export CGO_ENABLED=0

mkdir -p bin/linux
GOOS=linux go build "${flags[@]}" -o bin/linux/ ./cmd/webhook ./cmd/registry
go run ./hack/images -arch "$arch" -o internal/helper/images/images.tar \
  "kind-local-registry/webhook:$version=bin/linux/webhook" "kind-local-registry/registry:$version=bin/linux/registry"
go build "${flags[@]}" -o bin/ ./cmd/webhook ./cmd/setup
