// Package push copies an image from its sources into a registry, and reports what the registry has.
//
// Layers go uncompressed, so that a layer's digest is its diffID: the missing layers are known before a byte is read, and
// only they are streamed. The registry verifies each blob against its digest. The image manifest depends on the image alone,
// so that its digest does too. It goes last, so that no incomplete image is visible.
//
// A registry that fails is retried for some seconds. Later pushes of the image do not upload again what is present.
//
// The package follows https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md. It knows nothing of Docker.
package push
