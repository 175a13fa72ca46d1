// Package archive reads image archives: tars of OCI image layouts, and of the layout that docker save writes, plain or compressed.
//
// It reads an archive once, from its first byte to its last, so the archive may be a pipe. Small entries, among them all documents, stay
// in memory within limits. All others go into a Staging as they come, because only the documents tell which of them an image needs, and
// they may be at the end. Nothing is written to disk. An image is returned only if everything that it needs is in the archive and
// matches its digests, so that nodes can unpack it.
//
// The formats are https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md and
// https://github.com/moby/docker-image-spec/blob/main/spec.md.
package archive
