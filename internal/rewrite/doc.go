// Package rewrite decides what becomes of one image reference, and maps names into the registry and back.
//
// A decision is a pure function of the reference, the pod's facts and what the host and the registry hold. The package
// knows nothing of Docker, of Kubernetes clients or of HTTP: the admission handler, the review command and setup explain
// all call it, so that what is explained is what happens.
package rewrite
