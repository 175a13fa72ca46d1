#!/usr/bin/env bash
# Builds static binaries: bin/webhook and bin/setup. setup embeds the images of the webhook, the registry and the linker
# (internal/carried), for Linux on the target architecture.
#
# Environment:
#   VERSION   version of the programs and tag of the images (default the chart's appVersion)
#   OUT       absolute path of the output directory (default bin); if it is set, nothing is written into the source tree
set -o errexit -o nounset -o pipefail
cd "$(dirname "$0")/.."

version=${VERSION:-$(sed -nE 's/^appVersion: *"?([^"]+)"?$/\1/p' charts/kind-local-registry/Chart.yaml)}
out=${OUT:-bin}
images=internal/carried/images/images.tar
arch=$(go env GOARCH)
flags=(-trimpath -ldflags "-s -w -X kind-local-registry/config.Version=$version")
export CGO_ENABLED=0

mkdir -p "$out/linux"
if [[ -n ${OUT-} ]]; then # make setup embed the images in OUT instead of the images in the source tree
  printf '{"Replace": {"%s": "%s"}}\n' "$PWD/$images" "$out/images.tar" >"$out/overlay.json"
  images=$out/images.tar
  flags+=(-overlay "$out/overlay.json")
fi
GOOS=linux go build "${flags[@]}" -o "$out/linux/" ./cmd/webhook ./cmd/registry ./cmd/linker
go run ./hack/images -arch "$arch" -o "$images" \
  "kind-local-registry/webhook:$version=$out/linux/webhook" "kind-local-registry/registry:$version=$out/linux/registry" \
  "kind-local-registry/linker:$version=$out/linux/linker"
go build "${flags[@]}" -o "$out/" ./cmd/webhook ./cmd/setup
