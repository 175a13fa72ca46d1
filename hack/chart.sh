#!/usr/bin/env bash
# Checks with Helm that the chart lints, renders with every option, and rejects invalid values.
set -o errexit -o nounset -o pipefail

cd "$(dirname "$0")/.."
readonly chart=charts/kind-local-registry

# helm runs the version of Helm that go.mod selects.
helm() { go tool helm "$@"; }

# render renders the chart with the given flags.
render() { helm template kind-local-registry "$chart" --namespace kind-local-registry "$@"; }

# refuse renders the chart with an invalid value. Rendering must fail with an error that names the value.
refuse() {
  local value=$1
  if output=$(render --set "$value" 2>&1); then
    echo "--set $value was accepted, want an error" >&2
    return 1
  fi
  if ! grep --quiet --fixed-strings -- "${value%%[=.]*}" <<<"$output"; then
    echo "the error for --set $value does not name the value: $output" >&2
    return 1
  fi
}

helm lint --strict "$chart"

render >/dev/null
render --set pusher.address=172.18.255.253 >/dev/null
render --set pusher.address=fc00:f853:ccd:e793::fffd >/dev/null
render --set docker.socket=true >/dev/null
render --set replicas=2 >/dev/null
render --set 'rules.images.exclude={nginx,quay.io/**}' --set rules.loopGuard.within=1m30s >/dev/null
render --set policy.enabled=false >/dev/null
render --set 'networkPolicy.apiServerCIDRs={172.18.0.2/32,10.244.0.1/32,fc00:f853:ccd:e793::2/128}' >/dev/null
render --set "image.digest=sha256:$(printf '%064d' 0)" >/dev/null

refuse replicas=two
refuse replicas=0
refuse docker.socket=maybe
refuse docker.registry=kind-registry:5000
refuse image.digest=latest
refuse image.pullPolicy=Sometimes
refuse pusher.address=kind-registry-pusher
refuse pusher.port=70000
refuse pushDeadline=soon
refuse rules.image.exclude=nginx
refuse rules.images.exclude=nginx
refuse rules.alwaysPull=Never
refuse rules.loopGuard.within=soon
refuse policy.enabled=maybe
refuse networkPolicy.apiServerCIDRs=172.18.0.2/32
refuse 'networkPolicy.apiServerCIDRs={172.18.0.2}'
refuse unknown=value
refuse pusher.unknown=value

echo "chart: ok"
