// Package e2e tests the main job on a real kind cluster of two nodes: an unchanged manifest and an image that only the host's
// Docker daemon has give a running pod, and a fault of ours never blocks a pod. hack/e2e.sh runs it.
//
// The tests share one cluster and run one after the other. A test restores what it removes. Each asserts on the state of the
// cluster and of Docker: what runs and what exists.
package e2e
