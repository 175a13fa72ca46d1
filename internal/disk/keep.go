package disk

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"kind-local-registry/internal/push"
)

// checkInterval is how often Keep checks the limit if nothing is pushed.
const checkInterval = 10 * time.Minute

// Keep applies the limit until ctx ends: after each value from pushed, and every ten minutes. It removes the images that were not
// used for the longest time, and only as many as necessary. It returns immediately if there is no limit.
func (p *Pruner) Keep(ctx context.Context, pushed <-chan struct{}) {
	if p.limit == 0 {
		return
	}
	var warned string // why the limit is exceeded, as logged last
	for {
		next := checkInterval
		exceeded, err := p.apply(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			exceeded.reason = err.Error()
		case exceeded.again:
			next = 2 * settle
		}
		if !exceeded.again && exceeded.reason != warned {
			p.warn(ctx, exceeded)
			warned = exceeded.reason
		}
		select {
		case <-ctx.Done():
			return
		case <-pushed:
		case <-time.After(next):
		}
	}
}

// excess is what remains if the limit cannot be applied. The zero value means that the registry does not exceed its limit.
type excess struct {
	// again means that more can be removed soon, because the registry has kept what was used in the last few seconds.
	again bool
	// reason explains why the registry exceeds its limit; "" if it does not.
	reason string
	// bytes is how much the registry has; 0 if that is unknown.
	bytes int64
}

// apply removes unused images if the registry exceeds the limit.
func (p *Pruner) apply(ctx context.Context) (excess, error) {
	stored, err := p.registry.Inventory(ctx)
	if errors.Is(err, push.ErrNoInventory) {
		return excess{}, nil
	}
	if err != nil || stored.Bytes() <= p.limit {
		return excess{}, err
	}
	pruned, err := p.Prune(ctx, Options{Keep: &p.limit}, func(Step) {})
	if err != nil {
		return excess{}, err
	}
	left := excess{bytes: pruned.Plan.RegistryLeft}
	if pruned.Removed != nil {
		left.bytes, left.again = pruned.Removed.Left, pruned.Removed.Left > pruned.Plan.RegistryLeft
	}
	switch {
	case pruned.Plan.Blocked != "":
		left.reason = pruned.Plan.Blocked
	case left.bytes <= p.limit:
	case left.bytes-pruned.Plan.relied <= p.limit:
		left.reason = "layers of unfinished pushes are kept"
	case pruned.Plan.relied > 0:
		left.reason = "images in use and layers of unfinished pushes are kept"
	default:
		left.reason = "images in use are kept"
	}
	return left, nil
}

// warn logs why the registry exceeds its limit, if it does.
func (p *Pruner) warn(ctx context.Context, exceeded excess) {
	if exceeded.reason == "" {
		return
	}
	attributes := []slog.Attr{slog.String("reason", exceeded.reason), slog.Int64("limit", p.limit)}
	if exceeded.bytes > 0 {
		attributes = append(attributes, slog.Int64("bytes", exceeded.bytes))
	}
	p.log.LogAttrs(ctx, slog.LevelWarn, "the limit of the registry's storage cannot be applied", attributes...)
}
