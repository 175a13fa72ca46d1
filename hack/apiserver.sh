#!/usr/bin/env bash
# Provides an API server of an older Kubernetes version; see --help.
set -o errexit -o nounset -o pipefail
shopt -s inherit_errexit
HERE=$(cd "$(dirname "$0")" && pwd)
CACHE=${KIND_LOCAL_REGISTRY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kind-local-registry}/node-image

source "$HERE/lib.sh"
source "$HERE/node-image/kubernetes.sh"

usage() {
  cat <<USAGE
Prints a directory that contains kube-apiserver of an older Kubernetes version, from 1.27 to 1.29, and current versions of etcd and
kubectl (KUBEBUILDER_ASSETS). kube-apiserver is built from Go modules. The first build takes about five minutes on two cores.

Cache: $CACHE

Example:
  make test-api KUBERNETES=v1.27.16
USAGE
}

# server VERSION: builds kube-apiserver
server() {
  cd "$TMP"
  printf 'package build\n\nimport _ "k8s.io/kubernetes/cmd/kube-apiserver/app"\n' >build.go # keeps go from removing the requirement
  build_old_kubernetes "$1" "$OUT/" providerless k8s.io/kubernetes/cmd/kube-apiserver
}

case ${1-} in
-h | --help) usage ;;
v1.2[789].*)
  command -v go >/dev/null || die "building needs Go 1.26 or newer: install it from https://go.dev/dl"
  current=$("$HERE/node-image.sh" --envtest)
  stage "apiserver-$1" "$1" server "$1"
  mkdir -p "$CACHE/envtest-$1"
  ln -sf "$current"/{etcd,kubectl} "$CACHE/built/apiserver-$1/kube-apiserver" "$CACHE/envtest-$1/"
  echo "$CACHE/envtest-$1"
  ;;
*) die "name a version of Kubernetes from v1.27.0 to v1.29.15: see hack/apiserver.sh --help" ;;
esac
