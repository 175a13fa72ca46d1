// Package registry implements the OCI registry of kind-local-registry. It uses distribution as a library and stores its data in
// a directory.
//
// On disk it keeps distribution's layout, so a user can switch between this registry and registry:2 or registry:3 on the same
// volume. It has no authentication, because it is published only on the host's loopback and on the kind network. It does not
// cache descriptors, because a blob is present only if its file exists. It has no tracing.
package registry
