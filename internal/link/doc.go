// Package link gives a kind node the layers of an image as hard links to files that the Docker daemon or another node already has
// on the same file system.
//
// A node's containerd never fetches or unpacks a layer if it has a committed snapshot whose name is the layer's chainID
// (https://github.com/containerd/containerd/blob/v2.3.4/core/unpack/unpacker.go). So a Linker prepares a snapshot for each
// layer, fills its directory with hard links, makes it durable, and commits it. If any of this fails, the node pulls the layer.
//
// A container cannot change the shared files, because overlayfs copies a file before it changes it.
package link
