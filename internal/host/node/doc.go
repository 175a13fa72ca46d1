// Package node configures containerd on kind nodes. The nodes then pull an image from the registry's container if its reference
// begins with the registry's host, such as localhost:5001.
//
// It changes files on nodes with shell scripts, which a Runner runs. Undoing restores every file that the package replaced.
package node
