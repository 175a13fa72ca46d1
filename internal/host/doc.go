// Package host is what setup does on the host: the registry, the kind cluster, the pusher, the nodes' configuration and
// the chart, each a Step that can be checked, applied and undone.
//
// It owns the order of the steps and what each needs; it prints nothing (cmd/setup does) and copies no image itself
// (internal/pusher does). Whatever it makes carries config.Label, and it takes away nothing that does not.
package host
