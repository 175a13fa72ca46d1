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
	for {
		next := checkInterval
		again, err := p.apply(ctx)
		if err != nil && ctx.Err() == nil {
			p.log.LogAttrs(ctx, slog.LevelWarn, "limit of the registry's storage not applied", slog.String("error", err.Error()))
		}
		if again {
			next = 2 * settle
		}
		select {
		case <-ctx.Done():
			return
		case <-pushed:
		case <-time.After(next):
		}
	}
}

// apply removes unused images if the registry exceeds the limit. It reports whether more can be removed soon, because the registry
// has kept what was used in the last few seconds.
func (p *Pruner) apply(ctx context.Context) (again bool, err error) {
	stored, err := p.registry.Inventory(ctx)
	if errors.Is(err, push.ErrNoInventory) {
		return false, nil
	}
	if err != nil || stored.Bytes() <= p.limit {
		return false, err
	}
	pruned, err := p.Prune(ctx, Options{Keep: &p.limit}, func(Step) {})
	switch {
	case err != nil:
		return false, err
	case pruned.Plan.Blocked != "":
		return false, errors.New(pruned.Plan.Blocked)
	case pruned.Removed == nil:
		return false, nil
	case pruned.Removed.Left > pruned.Plan.RegistryLeft:
		return true, nil
	case pruned.Removed.Left > p.limit:
		p.log.LogAttrs(ctx, slog.LevelWarn, "the registry exceeds its limit, because the remaining images are in use",
			slog.Int64("bytes", pruned.Removed.Left), slog.Int64("limit", p.limit))
	}
	return false, nil
}
