// Package reachability tests whether the API server's calls reach the webhook. As a dry run, it creates a ConfigMap with a label
// that makes the API server call the webhook. The call uses the same Service, CA and connections as a call for a pod. The
// ConfigMap in the API server's response contains the webhook's answer.
//
// A readiness probe cannot test this. The Service routes only to pods that are already ready, and a pod sees neither kube-proxy's
// rules nor what the API server knows about the webhook configuration. The test stores nothing, and the only right that it needs
// is to create ConfigMaps in our own namespace.
package reachability
