#!/usr/bin/env bash
# Provides a kind node image; see --help.
set -o errexit -o nounset -o pipefail
shopt -s inherit_errexit
HERE=$(cd "$(dirname "$0")" && pwd)
CACHE=${KIND_LOCAL_REGISTRY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kind-local-registry}/node-image

# fingerprint DIRECTORY: prints a hash of the files in DIRECTORY
fingerprint() {
  find "$1" -type f -print0 | LC_ALL=C sort --zero-terminated | xargs -0 cat | sha256sum | cut -c1-16
}

source "$HERE/lib.sh"
source "$HERE/node-image/versions.sh"
source "$HERE/node-image/kubernetes.sh"
source "$HERE/node-image/programs.sh"
source "$HERE/node-image/rootfs.sh"
source "$HERE/node-image/image.sh"
source "$HERE/node-image/old.sh"

IMAGE=kind-local-registry/node:$KUBERNETES
STAMP=$(fingerprint "$HERE/node-image")

usage() {
  cat <<USAGE
Prints the reference of a kind node image, and ensures that Docker has the image. The image is IMAGE if it is given, and otherwise the
default image of kind $KIND. If the default image cannot be pulled, $IMAGE is built from Debian packages and Go modules.

  hack/node-image.sh [IMAGE]         prints a node image; the environment variable NODE_IMAGE can be set instead of IMAGE
  hack/node-image.sh --from-source   prints the image that is built from source, even if kind's image can be pulled
  hack/node-image.sh --old           prints an image that is built from source with the versions of kind 0.20: Kubernetes 1.27.3 and
                                     containerd 1.7.1
  hack/node-image.sh --bin           prints the directory that contains kind and kubectl
  hack/node-image.sh --envtest       prints the directory that contains kube-apiserver, etcd and kubectl (KUBEBUILDER_ASSETS)

The first build takes about 15 minutes on two cores. An interrupted build continues where it stopped. Later calls return immediately.
Building an image requires Debian, Docker and root; --bin and --envtest require only Go.

Cache: $CACHE
       (KIND_LOCAL_REGISTRY_CACHE, XDG_CACHE_HOME)

Examples:
  kind create cluster --image "\$(hack/node-image.sh)"
  PATH=\$(hack/node-image.sh --bin):\$PATH
  KUBEBUILDER_ASSETS=\$(hack/node-image.sh --envtest) go test ./...
USAGE
}

# link DIRECTORY NAME=TARGET...: creates symbolic links in CACHE/DIRECTORY
link() {
  local directory=$CACHE/$1 pair
  shift
  mkdir -p "$directory"
  for pair in "$@"; do
    [[ -e $directory/${pair%%=*} ]] || ln -sf "${pair#*=}" "$directory/${pair%%=*}"
  done
}

bin() {
  build_kind
  build_kube
  link bin kind=../built/kind/kind kubectl=../built/kube/kube
}

envtest() {
  build_kube
  build_etcd
  link envtest kube-apiserver=../built/kube/kube kubectl=../built/kube/kube etcd=../built/etcd/etcd
}

need_image_builder() {
  need_debian_root "building a node image" "run hack/node-image.sh as root on Debian, or name an image: hack/node-image.sh IMAGE"
}

# from_source: ensures that Docker has the image that is built from source, and that the cache contains kind, kubectl and the programs
# for envtest
from_source() {
  ours_in_docker || need_image_builder
  bin
  envtest
  if ours_in_docker; then return; fi
  build_containerd
  build_shared_programs
  build_base
  build_rootfs
  build_image
}

# node_image [IMAGE]: prints the reference of a node image, after pulling or building it if Docker does not have it
node_image() {
  need_docker
  if [[ ${1-} ]]; then
    in_docker "$1" || pull "$1" || die "$1 is not in Docker and cannot be pulled: see $CACHE/logs/pull.log"
    echo "$1"
  elif in_docker "$OFFICIAL_IMAGE"; then
    echo "$OFFICIAL_IMAGE"
  elif ! ours_in_docker && pull "$OFFICIAL_IMAGE"; then
    echo "$OFFICIAL_IMAGE"
  else
    ours_in_docker || log "  kind's node image cannot be pulled: building $IMAGE from source, once, in about 15 minutes"
    from_source
    echo "$IMAGE"
  fi
}

case ${1-} in
-h | --help) usage ;;
--bin)
  bin
  echo "$CACHE/bin"
  ;;
--envtest)
  envtest
  echo "$CACHE/envtest"
  ;;
--from-source)
  need_docker
  from_source
  echo "$IMAGE"
  ;;
--old)
  need_docker
  old_versions
  old_from_source
  echo "$IMAGE"
  ;;
-*) die "unknown option $1: see hack/node-image.sh --help" ;;
*) node_image "${1:-${NODE_IMAGE-}}" ;;
esac
