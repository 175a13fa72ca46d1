// Package podmanifest finds the pods in Kubernetes manifests (files, directories, standard input; YAML or JSON; with anchors,
// comments and several documents) and applies JSON Patches for those pods to the manifests' text.
//
// It finds a pod by structure, not by kind, so that custom resources work too, and returns it as the API server would send it
// to an admission webhook. So setup explain can show the webhook's decisions, and write them to manifests, without a cluster.
// The package decides nothing about images and contacts no other component.
//
// Scalars, duplicate keys and merge keys mean the same as in kubectl: YAML 1.1, and the last key wins. An unchanged document
// is written as it was read.
package podmanifest
