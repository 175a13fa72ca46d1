// Package uninstall takes the webhook out of a cluster: it deletes the webhook configuration and ungates every pod that waits
// for an image, with its original image.
//
// Helm runs it before it uninstalls the chart (the chart's pre-delete hook), setup down runs it, and each webhook process runs it
// when its namespace is deleted. Until then the process makes the namespace the owner of our objects outside it.
package uninstall
