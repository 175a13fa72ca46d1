// Package rewrite decides whether and how to rewrite an image reference. It also maps repositories of any registry to
// repositories of the local registry and back.
//
// A decision depends only on the reference, the rules, the pod, and the image's presence on the host and in the registry. The
// package imports no client for Docker, Kubernetes or HTTP. The admission handler, webhook review and setup explain all call
// this package, so they always agree.
package rewrite
