#!/usr/bin/env bash
# Builds the dockerd of Docker 29; see --help.
set -o errexit -o nounset -o pipefail
shopt -s inherit_errexit
HERE=$(cd "$(dirname "$0")" && pwd)
CACHE=${KIND_LOCAL_REGISTRY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kind-local-registry}/dockerd

source "$HERE/lib.sh"
source "$HERE/node-image/programs.sh"

DOCKER=29.8.1
MOBY=github.com/moby/moby/v2
VERSION=v2.0.0-beta.24 # the module's version that belongs to Docker $DOCKER, from the module's releases/versions.yaml
RUNC=v1.5.3             # Debian's runc lacks time namespaces, which Docker 29 requires

usage() {
  cat <<USAGE
Prints the path of Docker $DOCKER's dockerd. Builds it from Go modules, together with the programs that it calls: containerd,
containerd's shim, docker-proxy and runc. All of them are in the same directory.

  hack/dockerd.sh

The first call takes about 4 minutes on two cores; later calls return immediately. The build requires Go, gcc and libseccomp. On Debian,
the script installs gcc and libseccomp.

Cache: $CACHE
       (KIND_LOCAL_REGISTRY_CACHE, XDG_CACHE_HOME)

Examples:
  DOCKERD=\$(hack/dockerd.sh) go test -tags daemon ./test/daemon
USAGE
}

# docker_programs MODULE@VERSION PACKAGE...: builds the packages with tags that exclude all code that requires cgo
docker_programs() {
  local module=$1
  shift
  need_go
  cd "$TMP"
  go mod init build
  go get "$module"
  go build -mod=mod -ldflags "-s -w -X $MOBY/dockerversion.Version=$DOCKER" \
    -tags 'exclude_graphdriver_btrfs no_btrfs no_devmapper no_zfs' -o "$OUT/" "$@"
}

# runc_program MODULE@VERSION: builds runc with cgo, because the part of runc that enters namespaces is written in C
runc_program() {
  need_go
  cd "$TMP"
  go mod init build
  go get "$1"
  CGO_ENABLED=1 go build -mod=mod -ldflags '-s -w' -tags seccomp -o "$OUT/" "${1%@*}"
}

case ${1-} in
'')
  need_packages gcc libc6-dev libseccomp-dev pkgconf
  module_stage docker docker_programs "$MOBY@$VERSION" \
    $MOBY/cmd/{dockerd,docker-proxy} github.com/containerd/containerd/v2/cmd/{containerd,containerd-shim-runc-v2}
  module_stage runc runc_program "github.com/opencontainers/runc@$RUNC"
  ln -sf ../runc/runc "$CACHE/built/docker/runc"
  echo "$CACHE/built/docker/dockerd"
  ;;
-h | --help) usage ;;
*) die "unknown argument $1: see hack/dockerd.sh --help" ;;
esac
