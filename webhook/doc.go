// Package webhook is the admission webhook. It reads a pod from an admission request, has package rewrite decide about each image
// field, and answers with the smallest JSON Patch that makes the pod run the host's images.
//
// It never denies a request and never delays a pod beyond its budget: after any error the pod is created unchanged, and the log
// says why. A dry run gets the same answer and has no side effects. An admission request does not prove that the pod will
// exist, so package delivery has the images pushed, once it has read the pod from the API server. The webhook itself has
// only those images pushed whose reference cannot change later. It knows nothing of Docker.
package webhook
