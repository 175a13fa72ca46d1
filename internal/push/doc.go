// Package push brings an image from a source into a registry, and tells whether the registry has it already.
//
// Layers go uncompressed, so that a layer's digest is its diffID: what is missing is known before a byte is read, and
// only that is moved, as a stream. The registry verifies each blob against its digest. The manifest is made here from
// the image alone, so that its digest depends on nothing else, and goes last: no image is visible before it is complete.
//
// The package follows https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md. It knows nothing of
// Docker, and retries nothing: the caller may, and what has been moved is not moved again.
package push
