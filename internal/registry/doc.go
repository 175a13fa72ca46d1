// Package registry is the OCI registry of kind-local-registry: distribution as a library, on a directory.
//
// It keeps distribution's layout on disk, so a volume of registry:2 or registry:3 can be taken over, and given back. It
// has no authentication (it is published on the host's loopback and on the kind network only), no cache of descriptors
// (a blob is present only if its file is), and no tracing.
package registry
