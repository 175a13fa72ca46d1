#!/usr/bin/env bash
# Measures deliveries on a real kind cluster; see --help.
set -o errexit -o nounset -o pipefail
cd "$(dirname "$0")/.."

if [[ ${1-} == -h || ${1-} == --help ]]; then
  cat <<'USAGE'
Measures how long it takes to get an image from Docker to a node of a kind cluster. Compares kind load, docker push with a pull, and
kind-local-registry with and without linked layers, in turn. Also measures the disk space that the image takes on the node.
Writes the results to docs/benchmarks/results.{md,json,svg}. A full run takes several hours on two cores, and requires 45 GB of
disk space. It creates its own cluster, registry and images, and removes them at the end. It must run as root, because it reads
Docker's volumes.

  hack/bench.sh [-cases LIST] [-methods LIST] [-runs N] [-out DIR] [-assert N] [-add] [-draw]

  -cases LIST   comma-separated cases to measure: 100MB, 858MB, 10x80MB, 5GB, 80k-files (default all)
  -methods LIST comma-separated methods to compare: kind-load, docker-push, unlinked, linked, floor (default all)
  -runs N       number of rounds for each case (default 5)
  -out DIR      directory for the results (default docs/benchmarks)
  -assert N     fail unless linking makes the first delivery of each case at least N times as fast as kind load (default no check)
  -add          keep the existing results of the cases that are not measured
  -draw         measure nothing; only regenerate the plot and the tables from the existing results

Examples:
  hack/bench.sh
  hack/bench.sh -cases 100MB -runs 1 -out /tmp/results
  hack/bench.sh -cases 5GB -methods kind-load,linked -add           # in less than half of the time
  hack/bench.sh -cases 100MB -methods kind-load,linked -runs 1 -out /tmp/results -assert 10   # in CI
USAGE
  exit 0
fi

if [[ " $* " == *" -draw "* ]]; then
  exec go run ./hack/bench "$@"
fi
hack/docker.sh
node_image=$(hack/node-image.sh)
PATH=$(hack/node-image.sh --bin):$PATH
make --no-print-directory build
work=$(mktemp -d "${TMPDIR:-/tmp}/bench-XXXXXX")
trap 'rm -rf "$work"' EXIT
CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$work/hello" ./examples/hello
go build -o "$work/bench" ./hack/bench
"$work/bench" -work "$work" -node-image "$node_image" "$@"
