# shellcheck shell=bash disable=SC2034
# A node image with the versions of kind 0.20. hack/node-image.sh sources this file. Only what depends on the version of Kubernetes or
# containerd differs from the current image. kind's files have hardly changed since kind 0.20.

set -o errexit -o nounset -o pipefail

# old_versions: selects the versions in the default node image of kind 0.20
old_versions() {
  KUBERNETES=v1.27.3
  CONTAINERD=github.com/containerd/containerd@v1.7.1
  ETCD=v3.5.7 # kubeadm 1.27 sets flags that etcd 3.7 no longer has
  ETCD_IMAGE=registry.k8s.io/etcd:3.5.7-0
  COREDNS_IMAGE=registry.k8s.io/coredns/coredns:v1.10.1
  PAUSE_IMAGE=registry.k8s.io/pause:3.9
  IMAGE=kind-local-registry/node:$KUBERNETES
}

# old_from_source: ensures that Docker has the image with old versions. Its stages have a cache of their own, which links to the results
# of the stages that both images share.
old_from_source() {
  local name shared=(base kind cni crictl coredns local-path-provisioner pause kindnetd pack)
  if ours_in_docker; then return; fi
  need_image_builder
  build_kind
  build_shared_programs
  build_base
  for name in "${shared[@]}"; do
    link old/built "$name=../../built/$name"
  done
  CACHE=$CACHE/old
  stage kube "$KUBERNETES $(fingerprint "$HERE/node-image/kube")" old_kube
  build_etcd
  build_containerd
  build_rootfs
  build_image
}

old_kube() {
  need_go
  cp "$HERE"/node-image/kube/*.go "$TMP"
  cd "$TMP"
  build_old_kubernetes "$KUBERNETES" "$OUT/kube" providerless,kubernetes_1_27 .
}
