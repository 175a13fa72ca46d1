// Package link gives a kind node the layers of an image without copying a byte: as hard links to the files that the Docker
// daemon, or another node, already has on the same file system.
//
// A committed snapshot whose name is a layer's chainID is never fetched or unpacked by the node's containerd
// (https://github.com/containerd/containerd/blob/v2.3.4/core/unpack/unpacker.go). So a Linker prepares a snapshot for each
// layer, fills its directory with hard links, makes it durable, and commits it. Every failure leaves the layer to the pull.
//
// Nothing in a container can change the shared files: overlayfs copies a file before it changes it.
package link
