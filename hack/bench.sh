#!/usr/bin/env bash
# Measures deliveries on a real kind cluster; see usage.
set -o errexit -o nounset -o pipefail
cd "$(dirname "$0")/.."

if [[ ${1-} == -h || ${1-} == --help ]]; then
  cat <<'USAGE'
Measures how long an image takes from Docker to a node of a kind cluster: by kind load, by docker push and a pull, and by
kind-local-registry, in turn. Writes docs/benchmarks/results.{md,json,svg}. All of it takes from an hour and a half to three
hours on two cores, and 35 GB of disk; the cluster, the registry and the images are its own, and are removed at the end.

  hack/bench.sh [-cases LIST] [-runs N] [-out DIRECTORY]

  -cases LIST   of 858MB, 100MB, 10x80MB and 5GB; all
  -runs N       how often each is measured; 5
  -out DIR      where the results are written; docs/benchmarks
  -add          keep the results of other cases that are there already
  -draw         only draw the plot and write the table again

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
