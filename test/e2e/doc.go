// Package e2e proves the main job on a real kind cluster of two nodes: an unchanged manifest, an image that only the host's
// Docker daemon has, a running pod; and that nothing of ours is ever in the way. hack/e2e.sh runs it.
//
// The tests share one cluster and run one after the other; what one takes away, it puts back. Each asserts on the state of
// the world: what runs, what Docker and the API server hold.
package e2e
