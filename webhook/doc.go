// Package webhook implements the admission webhook. It reads a pod from an admission request, lets package rewrite decide about
// each image field, and answers with the smallest JSON Patch that makes the pod run the host's images.
//
// The webhook never denies a request and never delays a pod longer than Budget. After any error the pod is created unchanged, and
// the error is logged. A dry run gets the same answer but has no side effects. An admission request does not prove that the pod
// will exist, so package delivery has the images pushed only after it has read the pod from the API server. The webhook itself
// requests a push only for an image whose reference cannot change later. It knows nothing about Docker.
package webhook
