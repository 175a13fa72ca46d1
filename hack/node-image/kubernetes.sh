# shellcheck shell=bash
# Functions that build programs of Kubernetes from Go modules. hack/node-image.sh and hack/apiserver.sh source this file.

set -o errexit -o nounset -o pipefail

# kubernetes_flags VERSION: prints the linker flags that set the version of Kubernetes
kubernetes_flags() {
  local package major minor
  IFS=. read -r major minor _ <<<"${1#v}"
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    printf -- '-X %s.gitVersion=%s -X %s.gitMajor=%s -X %s.gitMinor=%s -X %s.gitTreeState=clean ' \
      $package "$1" $package "$major" $package "$minor" $package
  done
}

# build_old_kubernetes VERSION OUTPUT TAGS PACKAGE: builds a program of an older Kubernetes version in the current directory, which
# becomes a module. The module k8s.io/kubernetes contains the other k8s.io modules only as directories, so their published versions
# replace them.
build_old_kubernetes() {
  local version=$1 directory module
  go mod init build
  go mod edit -go=1.20 -require="k8s.io/kubernetes@$version"
  directory=$(go mod download -json "k8s.io/kubernetes@$version" | sed -nE 's/^\t"Dir": "(.*)",$/\1/p')
  cp --no-preserve=mode "$directory/go.sum" .
  sed -nE 's|^\t(k8s.io/[a-z-]+) => ./staging.*|\1|p' "$directory/go.mod" | while read -r module; do
    go mod edit -replace="$module=$module@v0.${version#v1.}"
  done
  CGO_ENABLED=0 GOFLAGS=-trimpath GOWORK=off go build -mod=mod -tags "$3" \
    -ldflags "-s -w -checklinkname=0 $(kubernetes_flags "$version")" -o "$2" "$4"
}
