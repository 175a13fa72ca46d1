#!/usr/bin/env bash
# Runs the real laconic-so against a cluster that setup set up; see --help.
set -o errexit -o nounset -o pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."
# shellcheck source=hack/lib.sh
. hack/lib.sh

PINNED=b3e9366ca0dc935115ce9dd20b294620b06e7913 # the commit of cerc-io/stack-orchestrator that docs/stack-orchestrator.md describes
LACONIC_SO=${LACONIC_SO:-laconic-so}
CADDY=ghcr.io/laconicnetwork/caddy-ingress:latest
IMAGE=example/hello:local
REWRITTEN="^localhost:[0-9]+/$IMAGE@sha256:"
WORK='' ID=''

usage() {
  cat <<USAGE
Runs the real laconic-so through the steps of docs/stack-orchestrator.md, with the stack in examples/stack: start with default flags,
rebuild, recreate the cluster with --perform-cluster-management through setup kind, and uninstall. The script ends with the first step
that fails. It deletes its cluster at the end and keeps the registry.

The script does not install laconic-so. If laconic-so is missing, or if a kind cluster exists (laconic-so would use it), the script prints
SKIP with the reason and exits with status 0.

Environment:
  LACONIC_SO   the program laconic-so (default laconic-so on the PATH); use cerc-io/stack-orchestrator at commit
               $PINNED
  NODE_IMAGE   the node image (default that of hack/node-image.sh)
  KEEP         if it is set, the cluster and the deployment are kept

Example:
  LACONIC_SO=~/venv/bin/laconic-so hack/laconic-so.sh
USAGE
}

skip() {
  printf 'SKIP: %s\n' "$*"
  exit 0
}

step() { printf '\n== %s\n' "$*"; }
ok() { printf 'ok: %s\n' "$*"; }

# fail WHAT: prints the pods and their warnings, and exits. It prints to stderr, because functions that fail have a result on stdout.
fail() {
  printf 'failed: %s\n' "$*" >&2
  kubectl get pods --all-namespaces -o wide >&2 || true
  kubectl get events --all-namespaces --field-selector type=Warning >&2 || true
  exit 1
}

clean_up() {
  if [[ $WORK && -z ${KEEP-} ]]; then
    if [[ $ID ]]; then
      bin/setup down --cluster "$ID" --quiet || true
      bin/setup kind delete cluster --name "$ID" --quiet || true
    fi
    rm -rf "$WORK"
  fi
}

so() { "$LACONIC_SO" "$@"; }
deployment() { so deployment --dir "$WORK/deployment" "$@"; }

# docker_build IMAGE DIRECTORY: builds an image with the legacy builder, which every Docker has
docker_build() {
  DOCKER_BUILDKIT=0 docker build -q -t "$1" "$2" >"$WORK/build.log" 2>&1 || fail "docker build -t $1: $(<"$WORK/build.log")"
}

# build GREETING: builds the stack's image; each greeting is another build
build() {
  printf 'FROM scratch\nCOPY hello /hello\nENV BUILD=%s\nEXPOSE 8080\nENTRYPOINT ["/hello"]\n' "$1" >"$WORK/image/Dockerfile"
  docker_build "$IMAGE" "$WORK/image"
}

# build_caddy: builds a stand-in for Caddy's image if Docker can neither find nor pull it. It answers the Deployment's probes.
build_caddy() {
  if docker image inspect "$CADDY" >/dev/null 2>&1 || timeout 60 docker pull -q "$CADDY" >/dev/null 2>&1; then return; fi
  log "  $CADDY cannot be pulled; building a stand-in"
  mkdir "$WORK/caddy"
  cat >"$WORK/caddy/main.go" <<'GO'
package main

import "net/http"

func main() {
	_ = http.ListenAndServe(":9765", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
}
GO
  CGO_ENABLED=0 go build -o "$WORK/caddy/caddy" "$WORK/caddy/main.go"
  printf 'FROM scratch\nCOPY caddy /caddy\nENTRYPOINT ["/caddy"]\n' >"$WORK/caddy/Dockerfile"
  docker_build "$CADDY" "$WORK/caddy"
}

# prepare: creates the stack's directories and the programs that laconic-so finds on the PATH
prepare() {
  WORK=$(mktemp -d)
  mkdir -p "$WORK"/{image,bin,repos} "$WORK"/stack-orchestrator/{compose,stacks/hello}
  export CERC_REPO_BASE_DIR=$WORK/repos KUBECONFIG=$WORK/kubeconfig
  CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$WORK/image/hello" ./examples/hello
  cp examples/stack/docker-compose-hello.yml "$WORK/stack-orchestrator/compose/"
  printf 'version: "1.0"\nname: hello\ncontainers:\n  - example/hello\npods:\n  - hello\n' \
    >"$WORK/stack-orchestrator/stacks/hello/stack.yml"
  # laconic-so cannot choose the node image, so the script does it.
  cat >"$WORK/bin/kind" <<SH
#!/bin/sh
case "\$1 \$2" in "create cluster") set -- "\$@" --image "$NODE_IMAGE" ;; esac
exec "$PWD/bin/setup" kind "\$@"
SH
  chmod +x "$WORK/bin/kind"
  PATH=$WORK/bin:$PATH
}

# create_deployment: creates the deployment directory, as laconic-so's users do
create_deployment() {
  so --stack "$WORK/stack-orchestrator/stacks/hello" deploy --deploy-to k8s-kind init --output "$WORK/spec.yml"
  cat >>"$WORK/spec.yml" <<'YAML'
resources:
  containers:
    reservations: {cpus: "0.1", memory: 50M}
    limits: {cpus: "1.0", memory: 200M}
YAML
  so --stack "$WORK/stack-orchestrator/stacks/hello" deploy create --spec-file "$WORK/spec.yml" --deployment-dir "$WORK/deployment"
  ID=$(awk '/^cluster-id:/ { print $2 }' "$WORK/deployment/deployment.yml")
  [[ $ID ]] || fail "deployment.yml has no cluster-id"
}

# running: prints the images that the stack's running pods run, without those that are being deleted
running() {
  kubectl get pods --all-namespaces -l app.kubernetes.io/stack=hello -o json |
    jq -r '.items[] | select(.metadata.deletionTimestamp | not) | select(.status.phase == "Running") | .spec.containers[].image' | sort -u
}

# await_image PATTERN [OLD]: waits until the stack's pods run exactly one image, which matches the regular expression PATTERN and is not
# OLD, and prints it
await_image() {
  local image start=$SECONDS
  until image=$(running) && [[ $image =~ $1 && $image != *$'\n'* && $image != "${2-}" ]]; do
    ((SECONDS - start < 120)) || fail "the stack's pods run \"$image\" after 120s, want $1 ${2+and not $2}"
    sleep 1
  done
  printf '%s\n' "$image"
}

# nothing_loaded: fails if a node has the stack's image under its own name, that is, if kind loaded it
nothing_loaded() {
  if docker exec "$ID-control-plane" ctr -n k8s.io images list -q | grep --quiet "^docker.io/$IMAGE\$"; then
    fail "kind has loaded $IMAGE into the node"
  fi
}

default_flags() {
  local first second
  step "setup up --cluster $ID --config kind-config.yml, and deployment start"
  bin/setup kind-config -f "$WORK/deployment/kind-config.yml" --write
  bin/setup up --cluster "$ID" --config "$WORK/deployment/kind-config.yml" --node-image "$NODE_IMAGE"
  deployment start
  first=$(await_image "$REWRITTEN")
  nothing_loaded
  ok "the pods run $first"

  step "rebuild, and deployment update-envs"
  build second
  deployment update-envs
  second=$(await_image "$REWRITTEN" "$first")
  ok "the pods run the new build $second"
}

cluster_management() {
  local image log=$WORK/start.log
  step "deployment stop --perform-cluster-management, which deletes the cluster"
  deployment stop --delete-volumes --delete-namespace --perform-cluster-management
  [[ -z $(kind get clusters --quiet) ]] || fail "the cluster still exists"
  ok "the cluster is gone"

  step "deployment start --perform-cluster-management, through setup kind"
  build_caddy
  build third
  deployment start --perform-cluster-management 2>&1 | tee "$log"
  grep --quiet "now run in kind cluster \"$ID\"" "$log" || fail "setup kind did not set up the new cluster"
  image=$(await_image "$REWRITTEN")
  nothing_loaded
  ok "a new cluster, no image was loaded, and the pods run $image"

  step "rebuild, and start --perform-cluster-management again"
  build fourth
  deployment stop
  deployment start --perform-cluster-management
  image=$(await_image "$REWRITTEN" "$image")
  nothing_loaded
  ok "the pods run the new build $image"
}

uninstall() {
  local image
  step "setup down, and the same image from kind load"
  deployment stop
  bin/setup down --cluster "$ID"
  [[ $(kind get clusters --quiet) == "$ID" ]] || fail "setup down deleted a cluster that it had not created"
  deployment start --perform-cluster-management
  image=$(await_image "^$IMAGE\$")
  ok "the cluster is kept, and the pods run $image, which kind loaded"
}

case ${1-} in
'') ;;
-h | --help) usage && exit 0 ;;
*) die "unknown argument $1: see hack/laconic-so.sh --help" ;;
esac
command -v "$LACONIC_SO" >/dev/null || skip "laconic-so is not installed; set LACONIC_SO, see hack/laconic-so.sh --help"
so --help >/dev/null 2>&1 || skip "$LACONIC_SO --help fails; its dependencies may be missing"
for program in jq kubectl; do
  command -v "$program" >/dev/null || skip "$program is not installed"
done
trap clean_up EXIT
hack/docker.sh
NODE_IMAGE=${NODE_IMAGE:-$(hack/node-image.sh)}
make --no-print-directory build
clusters=$(bin/setup kind get clusters --quiet)
[[ -z $clusters ]] || skip "laconic-so would use the existing kind cluster ${clusters%%$'\n'*}; delete it first"
prepare
build first
create_deployment
default_flags
cluster_management
uninstall
printf '\nlaconic-so: ok\n'
