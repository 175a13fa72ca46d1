// Package podmanifest finds the pods in Kubernetes manifests and applies JSON Patches for those pods to the manifests' text. It
// reads YAML and JSON from files, directories and standard input. A file may contain anchors, comments and several documents.
//
// The package finds a pod by structure, not by kind, so it works for custom resources too. It returns a pod as the API server
// would send it to an admission webhook. With the package, setup explain shows the webhook's decisions and writes them to
// manifests; no cluster is needed. The package decides nothing about images and contacts no other component.
//
// Scalars, duplicate keys and merge keys mean the same as in kubectl: scalars follow YAML 1.1, and the last of duplicate keys
// wins. An unchanged document is written as it was read.
package podmanifest
