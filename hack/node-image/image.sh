# shellcheck shell=bash
# The stage that builds our node image, and functions that pull another node image. hack/node-image.sh sources this file.

set -o errexit -o nounset -o pipefail

LABEL=kind-local-registry.stamp # says on an image what it was built from

need_docker() {
  docker version >/dev/null 2>&1 || die "Docker does not answer: start it, or have hack/docker.sh do so"
}

# in_docker IMAGE: reports whether Docker has the image
in_docker() {
  docker image inspect "$1" >/dev/null 2>&1
}

# ours_in_docker: reports whether Docker has the image that this script would build
ours_in_docker() {
  [[ $(docker image inspect --format "{{index .Config.Labels \"$LABEL\"}}" "$IMAGE" 2>/dev/null) == "$STAMP" ]]
}

# pull IMAGE: pulls the image, and fails soon if the registry cannot be reached
pull() {
  mkdir -p "$CACHE/logs"
  log "→ pulling $1 (log: $CACHE/logs/pull.log)"
  patiently "pulling $1" pull_if_reached "$1" >"$CACHE/logs/pull.log" 2>&1
  ((STATUS == 0))
}

# pull_if_reached IMAGE: lets the daemon pull the image, because the daemon may be configured with mirrors and proxies
pull_if_reached() {
  local pid start=$SECONDS
  docker pull "$1" &
  pid=$!
  until grep --quiet 'Pulling from' "$CACHE/logs/pull.log" || ! kill -0 "$pid" 2>/dev/null; do
    if ((SECONDS - start > 8)); then kill "$pid"; fi
    sleep 0.2
  done
  wait "$pid"
}

build_image() {
  # Only Docker knows whether the image still exists. The stage's key does not show it.
  remove_tree "$CACHE/built/image"
  stage image "$STAMP" image
}

image() {
  local base=localhost/kind-local-registry/base:$STAMP-$KUBERNETES old # kind tries to pull it: that must not go out
  old=$(docker image inspect --format '{{.Id}}' "$IMAGE" 2>/dev/null || true)
  docker ps --all --quiet --filter "ancestor=$base" --filter name=^kind-build- | # an interrupted run's
    xargs --no-run-if-empty docker rm --force
  kubernetes_archive "$TMP/server.tar.gz"
  docker build --label "$LABEL=$STAMP" --tag "$base" --file "$HERE/node-image/Dockerfile" "$CACHE/built/rootfs/context"
  TMPDIR=$TMP "$CACHE/built/kind/kind" build node-image --type file --base-image "$base" --image "$IMAGE" \
    "$TMP/server.tar.gz"
  docker image rm "$base"
  if [[ $old ]]; then docker image rm "$old" || true; fi # a cluster may still run it
}

# kubernetes_archive PATH: writes an archive that kind accepts as a release's kubernetes-server-linux-ARCH.tar.gz. The node's three
# programs are scripts that run the single binary in the base image.
kubernetes_archive() {
  local bin=$TMP/kubernetes/server/bin program
  mkdir -p "$bin"
  printf '%s' "$KUBERNETES" >"$TMP/kubernetes/version"
  for program in kubeadm kubelet kubectl; do
    printf '#!/bin/bash\nexec -a %s /usr/local/bin/kube "$@"\n' $program >"$bin/$program"
  done
  "$CACHE/built/pack/pack" -kubernetes "$KUBERNETES" -etcd "$ETCD_IMAGE" -coredns "$COREDNS_IMAGE" -pause "$PAUSE_IMAGE" \
    -kindnetd "$KINDNETD_IMAGE" -provisioner "$PROVISIONER_IMAGE" -helper "$HELPER_IMAGE" "$CACHE/built" "$bin"
  tar -C "$TMP" -c kubernetes | gzip -1 >"$1"
}
