#!/usr/bin/env bash
# Runs the inner loop of kubectl, Helm, Skaffold, DevSpace, Tilt and Telepresence on a cluster that setup set up; see --help.
# shellcheck disable=SC2317 # try calls the tools' functions by name
set -o errexit -o nounset -o pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."
# shellcheck source=hack/lib.sh
. hack/lib.sh

CLUSTER=works-with
TOOLS=(kubectl helm skaffold devspace tilt telepresence argocd)
IMAGE=example/hello
WORK='' CHOSEN=() FAILED=0

usage() {
  cat <<USAGE
Runs the inner loop of the tools in docs/works-with.md on a kind cluster: build an image, deploy it, check that the pods run this build,
rebuild it, and check that the pods run the new build. It also checks that no image was loaded into the nodes, or pushed by the tool. The
configuration files are in examples/works-with. For each tool, the script prints one line: works, does not work, or SKIP with the reason.
It exits with status 1 if a tool does not work. It deletes its cluster, $CLUSTER, at the end, and keeps the registry.

Usage: hack/works-with.sh [TOOL...]
  TOOL is one of ${TOOLS[*]} (default: all)

Helm is built in the version that go.mod names, if it is not on the PATH. The other tools must be on the PATH, because "go install" refuses
modules with replace directives. Telepresence also needs its image ghcr.io/telepresenceio/tel2 in Docker. Argo CD is always skipped, because
it needs images that only a registry on the internet has. In its place, "kubectl" checks that kubectl diff finds no difference after a
restart.

Environment:
  NODE_IMAGE   the node image (default that of hack/node-image.sh)
  KEEP         if it is set, the cluster and the directory with the tools' logs are kept

Example:
  hack/works-with.sh helm tilt
USAGE
}

clean_up() {
  if [[ $WORK && -z ${KEEP-} ]]; then
    bin/setup down --cluster "$CLUSTER" --yes --quiet || true
    rm -rf "$WORK"
  fi
}

# fail WHAT: prints WHAT and the pods, and ends the tool's run. The last line of the log is the reason that the script prints.
fail() {
  kubectl get pods --namespace "$NAMESPACE" -o wide || true
  kubectl get events --namespace "$NAMESPACE" --field-selector type=Warning || true
  printf '%s\n' "$*"
  exit 1
}

# --- Steps that all tools share -----------------------------------------------------------------------------------------

# edit GREETING: changes the Dockerfile of the tool's directory, so that the next build answers with GREETING
edit() {
  printf 'FROM scratch\nCOPY hello /hello\nENV GREETING=%s\nEXPOSE 8080\nENTRYPOINT ["/hello"]\n' "$1" >"$DIRECTORY/Dockerfile"
}

# rebuild GREETING: edits the Dockerfile and builds the image that the manifest names
rebuild() {
  edit "$1"
  docker build -q -t "$IMAGE:local" "$DIRECTORY"
}

# tool COMMAND [ARGUMENT...]: runs the tool in its directory, with a home directory of its own
tool() {
  (cd "$DIRECTORY" && HOME=$WORK/home timeout 240 "$@")
}

# expect GREETING: waits for the rollout and checks that every pod runs a rewritten image, and that the service answers with GREETING
expect() {
  local answer images start=$SECONDS
  kubectl rollout status deployment/hello --namespace "$NAMESPACE" --timeout 120s || fail "the Deployment was not rolled out"
  images=$(kubectl get pods --namespace "$NAMESPACE" -l app=hello -o json |
    jq -r '.items[] | select(.metadata.deletionTimestamp | not) | .spec.containers[0].image' | sort -u) # without injected containers
  printf 'the pods run %s\n' "$images"
  [[ $images =~ ^localhost:[0-9]+/[^[:space:]]+$ ]] || fail "the pods run \"$images\", want one image of the local registry"
  until answer=$(kubectl get --raw "/api/v1/namespaces/$NAMESPACE/services/hello:80/proxy/") && [[ $answer == "$1 from "* ]]; do
    ((SECONDS - start < 150)) || fail "the service answers \"$answer\", want $1"
    sleep 1
  done
}

# nothing_loaded: fails if the tool ran kind load, or if a node has the image under its own name
nothing_loaded() {
  local node images
  ! grep --quiet '^load ' "$WORK/kind.calls" || fail "the tool ran kind $(grep --max-count 1 '^load ' "$WORK/kind.calls")"
  for node in $(bin/setup kind get nodes --name "$CLUSTER" --quiet); do
    images=$(docker exec "$node" ctr -n k8s.io images list -q)
    ! grep --quiet "^docker.io/${IMAGE}[:@]" <<<"$images" || fail "$node has an image that was loaded"
  done
}

# nothing_pushed: fails if Docker pushed an image in this tool's run
nothing_pushed() {
  ! grep --quiet 'The push refers to repository' "$WORK/$TOOL.log" || fail "the tool pushed the image"
}

# inner_loop COMMAND [ARGUMENT...]: runs COMMAND, which builds and deploys, before and after an edit
inner_loop() {
  edit first
  tool "$@" || fail "${TOOL} failed"
  expect first
  edit second
  tool "$@" || fail "${TOOL} failed after the edit"
  expect second
  nothing_loaded
  nothing_pushed
}

# --- Tools --------------------------------------------------------------------------------------------------------------

# no_difference: fails if kubectl diff finds one, by comparing three ways, as Argo CD does by default, or by a server-side dry run
no_difference() {
  local diff=(kubectl diff --namespace "$NAMESPACE" -f "$DIRECTORY/deployment.yaml")
  "${diff[@]}" || fail "kubectl diff finds a difference"
  "${diff[@]}" --server-side --force-conflicts --field-manager works-with || fail "kubectl diff --server-side finds a difference"
}

try_kubectl() {
  rebuild first
  tool kubectl apply --namespace "$NAMESPACE" -f deployment.yaml
  expect first
  rebuild second
  kubectl rollout restart deployment/hello --namespace "$NAMESPACE"
  expect second
  no_difference
  nothing_loaded
}

try_helm() {
  mkdir -p "$DIRECTORY/chart/templates" # of its own, because Helm stores the whole directory in the release
  mv "$DIRECTORY/deployment.yaml" "$DIRECTORY/chart/templates/"
  printf 'apiVersion: v2\nname: hello\nversion: 0.1.0\n' >"$DIRECTORY/chart/Chart.yaml"
  rebuild first
  tool helm install hello ./chart --namespace "$NAMESPACE" --wait
  expect first
  rebuild second
  tool helm upgrade hello ./chart --namespace "$NAMESPACE" --wait
  expect first # the chart names the same tag, so the Deployment does not change
  kubectl rollout restart deployment/hello --namespace "$NAMESPACE"
  expect second
  tool helm upgrade hello ./chart --namespace "$NAMESPACE" --wait # which keeps the restart's annotation
  [[ $(kubectl get deployment hello --namespace "$NAMESPACE" -o jsonpath='{.status.observedGeneration}') == 2 ]] ||
    fail "helm upgrade changed the Deployment"
  expect second
  nothing_loaded
}

try_skaffold() {
  tool skaffold config set --global collect-metrics false
  inner_loop skaffold run --kube-context "kind-$CLUSTER" --namespace "$NAMESPACE" --update-check=false --interactive=false
}

try_devspace() {
  inner_loop devspace deploy --kube-context "kind-$CLUSTER" --namespace "$NAMESPACE" --no-warn
}

try_tilt() {
  inner_loop tilt ci --context "kind-$CLUSTER" --namespace "$NAMESPACE" --port 0
}

# try_telepresence: has the traffic manager inject its agent into the pods. It does not connect, because that changes the host's routes and
# DNS. The pods have a named port, with which the agent needs no iptables.
try_telepresence() {
  local agent
  sed -i -e 's/- containerPort: 8080/- {name: http, containerPort: 8080}/' -e 's/targetPort: 8080/targetPort: http/' \
    -e 's/^      labels: {app: hello}/&\n      annotations: {telepresence.getambassador.io\/inject-traffic-agent: enabled}/' "$DIRECTORY/deployment.yaml"
  rebuild first
  tool telepresence helm install --context "kind-$CLUSTER"
  kubectl rollout status deployment/traffic-manager --namespace ambassador --timeout 120s
  tool kubectl apply --namespace "$NAMESPACE" -f deployment.yaml
  expect first
  agent=$(kubectl get pods --namespace "$NAMESPACE" -l app=hello -o jsonpath='{.items[0].spec.containers[?(@.name=="traffic-agent")].image}')
  printf 'the agents run %s\n' "$agent"
  [[ $agent == localhost:*/telepresenceio/tel2:* ]] || fail "the agent runs \"$agent\", want an image of the local registry"
  rebuild second
  kubectl rollout restart deployment/hello --namespace "$NAMESPACE"
  expect second
  nothing_loaded
}

version_of() {
  case $1 in
  kubectl) kubectl version --client ;;
  helm) helm version --short ;;
  skaffold) skaffold version ;;
  devspace) devspace --version ;;
  tilt) tilt version ;;
  telepresence) HOME=$WORK/home telepresence version ;;
  esac 2>/dev/null | head -n 1
}

# --- The run ------------------------------------------------------------------------------------------------------------

result() { printf '%-13s %s\n' "$@"; }

# try TOOL: runs the tool's inner loop in a namespace and a directory of its own, and prints its result
try() {
  local status
  TOOL=$1 NAMESPACE=works-with-$1 DIRECTORY=$WORK/$1
  mkdir "$DIRECTORY"
  cp "$WORK/hello" examples/hello/deployment.yaml examples/works-with/* "$DIRECTORY"
  : >"$WORK/kind.calls"
  kubectl create namespace "$NAMESPACE" >/dev/null
  set +o errexit # the function runs with errexit, which a condition would turn off
  (
    set -o errexit
    "try_$1"
  ) >"$WORK/$1.log" 2>&1
  status=$?
  set -o errexit
  if ((status == 0)); then
    result "$1" "works ($(version_of "$1"))"
  else
    result "$1" "does not work ($(version_of "$1")): $(tail -n 1 "$WORK/$1.log")"
    sed 's/^/    /' "$WORK/$1.log" >&2
    FAILED=1
  fi
}

# prepare: builds the programs, and creates the cluster and a kind that records its calls
prepare() {
  hack/docker.sh
  NODE_IMAGE=${NODE_IMAGE:-$(hack/node-image.sh)}
  make --no-print-directory build
  WORK=$(mktemp -d)
  mkdir "$WORK"/{bin,home}
  export KUBECONFIG=$WORK/kubeconfig SKAFFOLD_INTERACTIVE=false TILT_DISABLE_ANALYTICS=1 DEVSPACE_SKIP_VERSION_CHECK=true
  docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0
  # shellcheck disable=SC2016 # the variables are the script's
  printf '#!/bin/sh\necho "$*" >>"%s"\nexec "%s" kind "$@"\n' "$WORK/kind.calls" "$PWD/bin/setup" >"$WORK/bin/kind"
  chmod +x "$WORK/bin/kind"
  PATH=$WORK/bin:$PATH
  command -v kubectl >/dev/null || PATH=$(hack/node-image.sh --bin):$PATH
  command -v helm >/dev/null || go build -o "$WORK/bin/helm" helm.sh/helm/v4/cmd/helm
  CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$WORK/hello" ./examples/hello
  bin/setup up --cluster "$CLUSTER" --config examples/kind.yaml --node-image "$NODE_IMAGE"
}

while (($# > 0)); do
  case $1 in
  -h | --help) usage && exit 0 ;;
  *) [[ " ${TOOLS[*]} " == *" $1 "* ]] || die "unknown tool $1: see hack/works-with.sh --help" ;;
  esac
  CHOSEN+=("$1")
  shift
done
((${#CHOSEN[@]} > 0)) || CHOSEN=("${TOOLS[@]}")
need_packages jq
trap clean_up EXIT
prepare >&2
for tool in "${CHOSEN[@]}"; do
  case $tool in
  argocd) result "$tool" "SKIP: its images are not on the host; docs/works-with.md says what its source says" ;;
  telepresence)
    if ! command -v telepresence >/dev/null; then
      result "$tool" "SKIP: $tool is not on the PATH"
    elif [[ -z $(docker image ls --quiet ghcr.io/telepresenceio/tel2) ]]; then
      result "$tool" "SKIP: Docker has no image ghcr.io/telepresenceio/tel2"
    else
      try "$tool"
    fi
    ;;
  *) if command -v "$tool" >/dev/null; then try "$tool"; else result "$tool" "SKIP: $tool is not on the PATH"; fi ;;
  esac
done
[[ -z ${KEEP-} ]] || log "the logs are in $WORK"
exit "$FAILED"
