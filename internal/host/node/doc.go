// Package node configures the containerd of kind nodes, so that the registry's host in image references leads to the
// registry's container.
package node
