// Package chart installs the webhook in the cluster. It pushes the webhook's image to the registry, applies the webhook's
// credentials for the pusher, and installs the Helm release. It then creates a dry-run pod to prove that the API server calls the
// webhook.
//
// Undoing uninstalls the release, ungates pods that are still waiting for an image, and deletes the namespace.
package chart
