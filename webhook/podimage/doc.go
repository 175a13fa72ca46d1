// Package podimage knows where a pod names its images, and the marks that the project leaves on a pod: the annotation
// with the references as they were written, and the scheduling gate of a pod whose image is being pushed.
//
// Admission and delivery both stand on it, so that what one writes the other reads. It changes no pod: changes are JSON
// Patch operations (RFC 6902), so that what it does not know of a pod survives.
package podimage
