// Package push copies an image from its sources into a registry, and reports what the registry has.
//
// It uploads layers uncompressed, so a layer's digest is its diffID. The missing layers are therefore known before any layer is
// read, and only they are read. The registry verifies each blob against its digest. The image manifest, and so its digest,
// depends only on the image. It is uploaded last, so an incomplete image is never visible.
//
// If the registry fails, the push retries for some seconds. Later pushes of the image do not upload blobs that are already
// present.
//
// The package follows https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md and does not depend on Docker.
package push
