// Package uninstall takes us out of a cluster and leaves nothing that waits for us: the webhook configuration goes, and
// every pod that waits for an image runs what its author wrote.
//
// It is what an uninstallation runs first (the chart's hook, setup down), and what each webhook process runs when its
// namespace is deleted. While we stay, it sees to it that what stands outside the namespace goes with it.
package uninstall
