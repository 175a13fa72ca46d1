// Package uninstall uninstalls the webhook from a cluster. It deletes the webhook configuration, restores the original images of
// every pod that waits for an image, and ungates these pods.
//
// Three callers run it: the chart's pre-delete hook, before Helm uninstalls the chart; setup down; and each webhook process, when
// its namespace is deleted. In advance, each process makes the namespace the owner of our cluster-scoped objects.
package uninstall
