// Package host is what setup does on the host. It composes the rooms below it: the registry and the pusher (service), the kind
// cluster (cluster), its nodes (node), the webhook in it (chart), and pushes ahead of pods (images).
//
// It owns the order of the steps, what each needs, and the lock that lets one setup at a time change a Docker host. It prints
// nothing, which cmd/setup does, and copies no image, which internal/pusher does.
package host
