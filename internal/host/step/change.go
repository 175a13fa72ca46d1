package step

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// planTimeout limits how long each step may take to list its changes. A cluster that does not answer would otherwise block them.
const planTimeout = 10 * time.Second

// Action is what setup does to an object.
type Action string

// The actions.
const (
	Delete  Action = "delete"
	Keep    Action = "keep"
	Restore Action = "restore" // to the state from before setup up
	Adopt   Action = "adopt"
	Start   Action = "start"
	Connect Action = "connect"
	Replace Action = "replace"
	Restart Action = "restart"
	// Try means that setup could not read the object, and tries to remove it.
	Try Action = "try"
)

// Kind is the kind of an object.
type Kind string

// The kinds of objects.
const (
	Cluster   Kind = "cluster"
	Container Kind = "container"
	Volume    Kind = "volume"
	Image     Kind = "image"
	Network   Kind = "network"
	File      Kind = "file"
	Service   Kind = "service" // a systemd service on a node
	Release   Kind = "release" // a Helm release
	Namespace Kind = "namespace"
	ConfigMap Kind = "ConfigMap"
	Parts     Kind = "parts" // everything that one step created
)

// Change is what setup does to one object.
type Change struct {
	Action Action
	Kind   Kind
	Name   string
	// Node is the kind node that the object is on; "" if it is on none.
	Node string
	// Detail explains the change; "" for none.
	Detail string
	// Bytes is the size of the object; 0 if it is unknown or the object has none.
	Bytes int64
	// Back says how the change is undone; "" if setup up can simply be run again.
	Back string
	// Loss means that neither setup up nor setup down can undo the change.
	Loss bool
}

// Foreign lists what applying the steps would change although setup did not create it, in the order of the changes.
func Foreign(ctx context.Context, steps []Step) ([]Change, error) {
	var all []Change
	for _, step := range steps {
		if step.Foreign == nil {
			continue
		}
		changes, err := listed(ctx, step.Foreign)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", step.Name, err)
		}
		all = append(all, changes...)
	}
	return all, nil
}

// Plan lists what undoing the steps would do, in the order of the changes. If a step cannot be read, Plan lists an action Try for
// that step, so that one unreadable part does not prevent the removal of the others.
func Plan(ctx context.Context, steps []Step) ([]Change, error) {
	var all []Change
	for _, step := range slices.Backward(steps) {
		if step.Plan == nil {
			continue
		}
		changes, err := listed(ctx, step.Plan)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			changes = []Change{{Action: Try, Kind: Parts, Name: step.Name, Detail: err.Error()}}
		}
		all = append(all, changes...)
	}
	return all, nil
}

// listed calls list with the time limit.
func listed(ctx context.Context, list func(context.Context) ([]Change, error)) ([]Change, error) {
	ctx, cancel := context.WithTimeout(ctx, planTimeout)
	defer cancel()
	return list(ctx)
}
