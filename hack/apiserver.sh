#!/usr/bin/env bash
# Provides an API server of an older Kubernetes version; see --help.
set -o errexit -o nounset -o pipefail
shopt -s inherit_errexit
HERE=$(cd "$(dirname "$0")" && pwd)
CACHE=${KIND_LOCAL_REGISTRY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kind-local-registry}/node-image

source "$HERE/lib.sh"

usage() {
  cat <<USAGE
Prints a directory that contains kube-apiserver of an older Kubernetes version, from 1.27 to 1.29, and current versions of etcd and
kubectl (KUBEBUILDER_ASSETS). kube-apiserver is built from Go modules. The first build takes about five minutes on two cores.

Cache: $CACHE

Example:
  make test-api KUBERNETES=v1.27.16
USAGE
}

# server VERSION: builds kube-apiserver. The module k8s.io/kubernetes contains the other k8s.io modules only as directories, so
# their published versions replace them.
server() {
  local version=$1 directory module
  local flags="-s -w -checklinkname=0"
  cd "$TMP"
  go mod init build
  go mod edit -go=1.20 -require="k8s.io/kubernetes@$version"
  directory=$(go mod download -json "k8s.io/kubernetes@$version" | sed -nE 's/^\t"Dir": "(.*)",$/\1/p')
  cp --no-preserve=mode "$directory/go.sum" .
  sed -nE 's|^\t(k8s.io/[a-z-]+) => ./staging.*|\1|p' "$directory/go.mod" | while read -r module; do
    go mod edit -replace="$module=$module@v0.${version#v1.}"
  done
  for module in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $module.gitVersion=$version -X $module.gitMajor=1 -X $module.gitMinor=$(cut -d. -f2 <<<"$version")"
  done
  printf 'package build\n\nimport _ "k8s.io/kubernetes/cmd/kube-apiserver/app"\n' >build.go # keeps go from removing the requirement
  CGO_ENABLED=0 GOFLAGS=-trimpath GOWORK=off go build -mod=mod -tags providerless -ldflags "$flags" -o "$OUT/" k8s.io/kubernetes/cmd/kube-apiserver
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
