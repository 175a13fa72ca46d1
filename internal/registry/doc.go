// Package registry is the OCI registry of kind-local-registry: distribution as a library, on a directory.
//
// It keeps distribution's layout on disk, so registry:2 and registry:3 can use the same volume, before and after it. It
// has no authentication (it is published on the host's loopback and on the kind network only), no cache of descriptors
// (a blob is present only if its file is), and no tracing.
package registry
