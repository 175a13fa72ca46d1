#!/usr/bin/env bash
# Runs the tests in test/e2e against a real kind cluster with two nodes. The cluster is named e2e; the tests create and delete it.
# Arguments are passed to go test, for example: hack/e2e.sh -run TestInstall
# With E2E_FULL=1, TestOldNode_* also needs the image that hack/node-image.sh --old builds.
set -o errexit -o nounset -o pipefail
cd "$(dirname "$0")/.."

hack/docker.sh
NODE_IMAGE=$(hack/node-image.sh)
make --no-print-directory build
# Parallel tests mostly wait, so there may be more of them than processors.
NODE_IMAGE=$NODE_IMAGE go test -tags e2e -count 1 -v -parallel 8 -timeout 400m ./test/e2e "$@"
