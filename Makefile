# Targets for developers. The logic is in hack/. "make help" lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
export CGO_ENABLED ?= 0
GOLANGCI_LINT := go tool -modfile=hack/tools/go.mod golangci-lint

.PHONY: help
help: ## List the targets
	@sed -nE 's/^([a-z0-9-]+):.*## (.*)/\1 \2/p' $(MAKEFILE_LIST) | sort | while read -r target what; do printf '%-11s %s\n' "$$target" "$$what"; done

.PHONY: build
build: ## Build static binaries bin/setup and bin/webhook; setup embeds the registry's and the webhook's images
	hack/build.sh

.PHONY: test
test: ## Run the tests that require only Go
	go test ./...

.PHONY: test-api
test-api: ## Run the tests against a real API server and etcd (built on first use); KUBERNETES=v1.27.16 selects an older one
	KUBEBUILDER_ASSETS="$$($(if $(KUBERNETES),hack/apiserver.sh $(KUBERNETES),hack/node-image.sh --envtest))" go test -tags api -count 1 ./test/api/...

DAEMON_TESTS = go test -p 1 -tags daemon -count 1 -timeout 20m ./test/daemon ./internal/link

.PHONY: test-daemon
test-daemon: ## Test pushes and linking from the installed Docker and from Docker 29 (requires root; Docker 29 is built on first use)
	hack/docker.sh install
	DOCKERD=dockerd $(DAEMON_TESTS)
	DOCKERD=$$(hack/dockerd.sh) $(DAEMON_TESTS) -skip ^TestConverge # which takes minutes, and hardly depends on Docker's version

.PHONY: test-load
test-load: ## Measure admission under load; each test runs for LOAD_DURATION (default 10s)
	go test -tags load -count 1 -v ./test/load

.PHONY: e2e
e2e: ## Run the tests against a real kind cluster (installs Docker and builds a node image if needed)
	hack/e2e.sh

.PHONY: e2e-full
e2e-full: ## Run the e2e tests, and inject each fault as often as docs/reliability.md lists (takes several hours)
	E2E_FULL=1 hack/e2e.sh

.PHONY: lint
lint: ## Check the style of Go code, shell scripts and the chart
	$(GOLANGCI_LINT) run --build-tags api,daemon,e2e,load ./...
	shellcheck hack/*.sh .ci/run
	hack/chart.sh

.PHONY: demo
demo: ## Create a cluster and run a pod whose image exists only in this host's Docker
	hack/demo.sh

.PHONY: bench
bench: ## Compare kind load, docker push and kind-local-registry on a real kind cluster (see hack/bench.sh --help)
	hack/bench.sh

.PHONY: microbench
microbench: ## Run the Go benchmarks of individual functions
	go test -run '^$$' -bench . -benchmem ./webhook/... ./internal/...

.PHONY: generate
generate: ## Regenerate docs/cli.md, docs/json.md and the golden files of cmd/setup and webhook
	go test ./cmd/setup ./webhook -count 1 -update
