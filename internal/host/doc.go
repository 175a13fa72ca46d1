// Package host does setup's work on the host. It combines the packages below it: service (the registry and the pusher), cluster
// (the kind cluster), kindconfig (its configuration), node (the cluster's nodes), chart (the webhook in the cluster) and images (pushing images in advance).
//
// It decides the order of the steps, passes each step what it needs, and takes the lock that lets only one setup at a time change
// a Docker host. cmd/setup prints the output, and internal/pusher copies the images.
package host
