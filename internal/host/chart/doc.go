// Package chart installs the webhook in the cluster: its image in the registry, its credentials for the pusher, the Helm release,
// and a dry-run pod as the proof that the API server calls it.
//
// Undoing uninstalls the release, ungates pods that still wait for an image, and deletes the namespace.
package chart
