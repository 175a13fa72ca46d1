#!/usr/bin/env bash
# Builds an image with the host's Docker daemon, applies an unchanged manifest to a kind cluster, and waits until the pod answers.
# CLUSTER is the name of the cluster. If the cluster exists, it is adopted; otherwise, it is created. The cluster keeps running
# afterwards. "hack/demo.sh --remove" removes everything again.
set -o errexit -o nounset -o pipefail
cd "$(dirname "$0")/.."
# shellcheck source=hack/lib.sh
. hack/lib.sh

cluster=${CLUSTER:-demo}
image=example/hello:local
say() { printf '\n== %s\n' "$*"; }

# docker_build ARGUMENT...: runs docker build, with BuildKit if buildx is installed and otherwise with the legacy builder
docker_build() {
  docker buildx version >/dev/null 2>&1 || local -x DOCKER_BUILDKIT=0
  docker build "$@"
}

if [[ ${1-} == --remove ]]; then
  if [[ -x bin/setup ]] && docker info >/dev/null 2>&1; then
    bin/setup down --cluster "$cluster" --registry --yes
    docker image rm --force "$image" >/dev/null 2>&1 || true
  fi
  exit 0
fi

say "Prepare Docker, a node image and our programs"
hack/docker.sh
node_image=$(hack/node-image.sh)
command -v kubectl >/dev/null || PATH=$(hack/node-image.sh --bin):$PATH
make --no-print-directory build

say "docker build -t $image examples/hello"
CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o examples/hello/hello ./examples/hello
docker_build -q -t "$image" examples/hello

say "setup up --cluster $cluster --config examples/kind.yaml"
bin/setup up --cluster "$cluster" --config examples/kind.yaml --node-image "$node_image"
kubectl config use-context "kind-$cluster"

say "kubectl apply -f examples/hello/deployment.yaml"
kubectl delete --ignore-not-found --wait -f examples/hello/deployment.yaml
start=$(date +%s%N)
kubectl apply -f examples/hello/deployment.yaml
kubectl rollout status deployment/hello --timeout 120s
milliseconds=$((($(date +%s%N) - start) / 1000000))
deadline=$((SECONDS + 30)) # the Service may get its endpoints after the rollout
until answer=$(kubectl get --raw /api/v1/namespaces/default/services/hello:80/proxy/ 2>&1); do
  ((SECONDS < deadline)) || die "the Service hello does not answer: $answer"
  sleep 0.2
done

say "The image in the manifest, the image that runs, and why"
running=$(kubectl get pods -l app=hello -o jsonpath='{.items[0].spec.containers[0].image}')
pod=$(kubectl get pods -l app=hello -o jsonpath='{.items[0].metadata.name}')
printf 'manifest  %s\n' "$(sed -nE 's/^ +image: //p' examples/hello/deployment.yaml)"
printf 'running   %s\n' "$running"
kubectl get pods -l app=hello -o custom-columns=POD:.metadata.name,NODE:.spec.nodeName,PHASE:.status.phase
printf 'answer    %s\nwhy       ' "$answer"
kubectl logs deployment/kind-local-registry -n kind-local-registry --tail -1 | grep "$pod" | head -n 1

case $running in
  localhost:*/"$image"@sha256:*) ;;
  *) printf 'demo: failed: %s runs as %s\n' "$image" "$running" >&2; exit 1 ;;
esac
remove="hack/demo.sh --remove"
[[ $cluster == demo ]] || remove="CLUSTER=$cluster $remove"
printf '\nThe cluster keeps running; remove it with: %s\n' "$remove"
printf 'demo: ok, %s ran on both nodes as %s, %d.%03d s after kubectl apply\n' \
  "$image" "$running" $((milliseconds / 1000)) $((milliseconds % 1000))
