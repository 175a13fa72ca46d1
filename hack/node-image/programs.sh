# shellcheck shell=bash
# The stages that build Go programs. hack/node-image.sh sources this file. The stages need only Go and the module proxy.

set -o errexit -o nounset -o pipefail

export CGO_ENABLED=0 GOFLAGS=-trimpath GOWORK=off

need_go() {
  command -v go >/dev/null || die "building needs Go 1.26 or newer: install it from https://go.dev/dl"
}

# module_programs MODULE@VERSION PACKAGE...: builds main packages of a published module or of its dependencies, in a scratch module
# that requires only the published module
module_programs() {
  local module=$1
  shift
  need_go
  cd "$TMP"
  go mod init build
  go get "$module"
  go build -mod=mod -ldflags '-s -w' -tags 'no_aufs no_zfs no_btrfs no_devmapper' -o "$OUT/" "$@"
}

# own_program NAME [LDFLAGS]: builds the program in the directory NAME
own_program() {
  need_go
  cd "$HERE/node-image/$1"
  go build -mod=readonly -buildvcs=false -ldflags "-s -w ${2-}" -o "$OUT/$1" .
}

kind_and_files() {
  module_programs "$@"
  cp -r --no-preserve=mode,ownership "$(go list -mod=mod -m -f '{{.Dir}}' sigs.k8s.io/kind)/images/base/files" "$OUT/"
}

etcd() {
  module_programs "$@"
  mv "$OUT/server" "$OUT/etcd"
}

kube() {
  own_program kube "$(kubernetes_flags "$KUBERNETES")"
}

# module_stage NAME COMMAND MODULE@VERSION PACKAGE...: runs a stage whose cache key is the versions of the modules. Go's version is not
# part of the key, because another version of Go builds equivalent programs.
module_stage() {
  local name=$1
  shift
  stage "$name" "$*" "$@"
}

# own_stage NAME COMMAND [ARGUMENT...]: runs a stage whose cache key is the content of the directory NAME
own_stage() {
  local name=$1
  shift
  stage "$name" "$(fingerprint "$HERE/node-image/$name")" "$@"
}

build_kind() {
  module_stage kind kind_and_files "sigs.k8s.io/kind@$KIND" sigs.k8s.io/kind
}

build_kube() {
  own_stage kube kube
}

build_etcd() {
  module_stage etcd etcd "go.etcd.io/etcd/server/v3@$ETCD" go.etcd.io/etcd/server/v3
}

build_containerd() {
  module_stage containerd module_programs "$CONTAINERD" "${CONTAINERD%@*}"/cmd/{containerd,ctr,containerd-shim-runc-v2}
}

# build_shared_programs: builds the node's other programs, whose versions do not depend on the version of Kubernetes
build_shared_programs() {
  local plugins=github.com/containernetworking/plugins
  module_stage cni module_programs "$plugins@$CNI" \
    $plugins/plugins/{ipam/host-local,main/loopback,main/ptp,meta/portmap}
  module_stage crictl module_programs "sigs.k8s.io/cri-tools@$CRICTL" sigs.k8s.io/cri-tools/cmd/crictl
  module_stage coredns module_programs "github.com/coredns/coredns@$COREDNS" github.com/coredns/coredns
  module_stage local-path-provisioner module_programs "github.com/rancher/local-path-provisioner@$PROVISIONER" \
    github.com/rancher/local-path-provisioner
  own_stage pause own_program pause
  own_stage kindnetd own_program kindnetd
  own_stage pack own_program pack
}
