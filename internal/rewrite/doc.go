// Package rewrite decides whether and how to rewrite an image reference, and maps repositories of any registry to
// repositories of the local registry and back.
//
// A decision is a pure function of the reference, the rules, the pod and the image's presence on the host and in the registry.
// The package imports no client of Docker, Kubernetes or HTTP: the admission handler, webhook review and setup explain all
// call it, so they always agree.
package rewrite
