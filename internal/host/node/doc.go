// Package node configures containerd on kind nodes, so that pulls from the registry's host in image references go to the
// registry's container.
//
// It changes files on nodes with shell scripts, which a Runner runs. Undoing restores every file that it replaced.
package node
