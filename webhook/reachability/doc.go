// Package reachability asks the API server whether its calls reach the webhook, in the way of any other client: it creates a
// labelled ConfigMap as a dry run, about which the API server must ask the webhook, over the same Service, with the same
// CA and on the same connections as about a pod. The answer is in the ConfigMap that comes back.
//
// A readiness probe cannot tell this: the Service leads to pods that are ready already, and neither kube-proxy's rules nor
// what the API server knows of the configuration can be seen from inside the pod. Nothing is stored, and no right is needed
// but to create ConfigMaps in our own namespace.
package reachability
