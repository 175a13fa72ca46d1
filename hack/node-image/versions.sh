# shellcheck shell=bash disable=SC2034
# The versions of everything in a node image that is built from source. hack/node-image.sh sources this file.

KIND=v0.33.0
KUBERNETES=$(awk '$1 == "k8s.io/kubernetes" { print $2 }' "$HERE/node-image/kube/go.mod")
CONTAINERD=github.com/containerd/containerd/v2@v2.3.4 # this, crictl and CNI as in kind's images/base/Dockerfile
CRICTL=v1.36.0
CNI=v1.9.1
ETCD=v3.7.3
COREDNS=v1.15.0
PROVISIONER=v0.0.30
DEBIAN=bookworm # its systemd, 252, still runs where the machine has cgroup v1

# the default node image of kind $KIND, from its pkg/apis/config/defaults/image.go
OFFICIAL_IMAGE=kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5

# the image references that kubeadm requests (`kubeadm config images list`) ...
ETCD_IMAGE=registry.k8s.io/etcd:3.7.0-0
COREDNS_IMAGE=registry.k8s.io/coredns/coredns:v1.14.6
PAUSE_IMAGE=registry.k8s.io/pause:3.10.2
# ... and those that kind $KIND requests (its pkg/build/nodeimage/const_cni.go and const_storage.go)
KINDNETD_IMAGE=docker.io/kindest/kindnetd:v20260820-69b56db7
PROVISIONER_IMAGE=docker.io/kindest/local-path-provisioner:v20260820-69b56db7
HELPER_IMAGE=docker.io/kindest/local-path-helper:v20260131-7181c60a
