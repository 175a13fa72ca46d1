// Package node configures the containerd of kind nodes: pulls for the registry's host in image references go to the registry's
// container.
//
// It changes files on nodes by shell scripts that a Runner runs. Undoing restores every file that it replaced.
package node
