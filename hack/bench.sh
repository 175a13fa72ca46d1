#!/usr/bin/env bash
# Measures deliveries on a real kind cluster; see usage.
set -o errexit -o nounset -o pipefail
cd "$(dirname "$0")/.."

if [[ ${1-} == -h || ${1-} == --help ]]; then
  cat <<'USAGE'
Measures how long an image takes from Docker to a node of a kind cluster: with kind load, with docker push and a pull, and with
kind-local-registry, in turn. Writes docs/benchmarks/results.{md,json,svg}. A full run takes an hour and a half to three hours on two
cores, and 35 GB of disk. It uses a cluster, a registry and images of its own, and removes them at the end.

  hack/bench.sh [-cases LIST] [-runs N] [-out DIR] [-add] [-draw]

  -cases LIST   some of 858MB, 100MB, 10x80MB and 5GB (default all)
  -runs N       rounds for each case (default 5)
  -out DIR      directory of the results (default docs/benchmarks)
  -add          keep the existing results of other cases
  -draw         only regenerate the plot and the table

Examples:
  hack/bench.sh
  hack/bench.sh -cases 100MB -runs 1 -out /tmp/results
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
