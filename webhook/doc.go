// Package webhook is the admission webhook: it reads a Pod that is about to be created, or an ephemeral container that is
// about to be added to one, has each image field decided by package rewrite, and answers with the smallest JSON Patch
// that makes the pod run the host's images.
//
// It never denies anything and never holds a pod up for longer than its budget: what goes wrong ends in a pod created as
// it was written, with a line in the log. A dry run is answered like any other request, and has no effect. An admission
// request is no proof of a pod, so images are pushed by package delivery, which reads the pod back from the API server;
// but for those whose reference nobody can change later. Of Docker it knows nothing.
package webhook
