// Package kindnode lists and removes images on the nodes of kind clusters, and finds out which images the clusters' pods use.
//
// It runs crictl and kubectl in the nodes' containers through the Docker daemon, so it needs no kubeconfig, and it also works for
// clusters in which our webhook is not installed. It never starts, stops or changes a container.
package kindnode
