// Package podmanifest finds the pods in Kubernetes manifests as people have them (files, directories, standard input; YAML
// or JSON; with anchors, comments and many documents), and carries out on the text what a JSON Patch says of a pod.
//
// A pod is found by structure, not by kind, so that custom resources have theirs found too, and is given as the API
// server would give it to an admission webhook. So what the webhook decides can be shown, and written into the manifests,
// without a cluster. Package manifest decides nothing about an image, and asks nobody.
//
// Scalars, equal keys and merge keys mean what they mean to kubectl: YAML 1.1, and the last counts. A document that is not
// changed is written as it was read.
package podmanifest
