// Package webhook is the admission webhook: it reads a Pod that is about to be created, has each image field decided by
// package rewrite, and answers with the smallest JSON Patch that makes the pod run the host's images.
//
// It never denies a pod and never holds one up for longer than its budget: what goes wrong ends in a pod created as it
// was written, with a line in the log. It has no effect but its answer, so a dry run is answered like any other request.
// An admission request is no proof of a pod, so nothing is pushed from here: that is package delivery's, which reads the
// pod back from the API server. Of Docker it knows nothing.
package webhook
