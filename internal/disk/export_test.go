package disk

import "time"

// Settle sets how long an image counts as used after it was looked up.
func (p *Pruner) Settle(d time.Duration) { p.settle = d }
