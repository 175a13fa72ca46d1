#!/usr/bin/env bash
# Runs the tests of test/e2e against a real kind cluster with two nodes, named e2e, which it creates and deletes. Arguments go to go
# test, for example: hack/e2e.sh -run TestInstall
set -o errexit -o nounset -o pipefail
cd "$(dirname "$0")/.."

hack/docker.sh
NODE_IMAGE=$(hack/node-image.sh)
make --no-print-directory build
NODE_IMAGE=$NODE_IMAGE go test -tags e2e -count 1 -v -timeout 150m ./test/e2e "$@"
