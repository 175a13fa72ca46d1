// Package reachability tests whether the API server's calls reach the webhook. It creates a labelled ConfigMap as a dry run. The
// API server must call the webhook about it, over the same Service, with the same CA and on the same connections as about a
// pod, and the answer is in the ConfigMap that comes back.
//
// A readiness probe cannot test this: the Service routes to pods that are ready already, and a pod sees neither kube-proxy's rules
// nor what the API server knows of the webhook configuration. Nothing is stored, and the only right needed is to create
// ConfigMaps in our own namespace.
package reachability
