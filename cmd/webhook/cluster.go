package main

import (
	"fmt"
	"net/http"
	"net/url"

	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
)

// findCluster returns how to reach the API server. Like the registry and the pusher, it is reached without the proxy in HTTPS_PROXY:
// other tools add this variable to pods, and NO_PROXY may not contain the API server's address. A proxy in a kubeconfig is used.
func findCluster() (*rest.Config, error) {
	cluster, err := ctrl.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("finding the cluster: %w", err)
	}
	if cluster.Proxy == nil {
		cluster.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil }
	}
	return cluster, nil
}
