package step

import (
	"context"
	"time"
)

// pollInterval is the interval between Poll's attempts.
const pollInterval = 250 * time.Millisecond

// Poll calls try until it succeeds. After limit, or when ctx ends, it returns the last attempt's error.
func Poll(ctx context.Context, limit time.Duration, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}
