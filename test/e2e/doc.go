// Package e2e tests the project's two main promises on a real kind cluster with two nodes. An unchanged manifest whose image
// exists only in the host's Docker daemon results in a running pod, and a fault in one of our components never blocks a pod.
// hack/e2e.sh runs the tests.
//
// The tests share one cluster. A test restores what it removes. Each test checks the state of the cluster and of Docker: what is running
// and what exists. Tests that mostly wait, and that change nothing that others use, run in parallel after all the others.
package e2e
