package explain

import (
	"context"
	"sync"

	"kind-local-registry/internal/rewrite"
	"kind-local-registry/webhook/lookup"
)

// once is a Looker that looks up each name only once and remembers the answer. It is safe for concurrent use.
type once struct {
	looker lookup.Looker

	mu      sync.Mutex
	answers map[rewrite.Name]func() (rewrite.Presence, error)
}

// newOnce returns a Looker that calls looker only once for each name.
func newOnce(looker lookup.Looker) *once {
	return &once{looker: looker, answers: map[rewrite.Name]func() (rewrite.Presence, error){}}
}

// Lookup implements lookup.Looker. All callers that ask for the same name wait only as long as the first caller's context allows.
func (o *once) Lookup(ctx context.Context, name rewrite.Name) (rewrite.Presence, error) {
	o.mu.Lock()
	answer, asked := o.answers[name]
	if !asked {
		answer = sync.OnceValues(func() (rewrite.Presence, error) { return o.looker.Lookup(ctx, name) })
		o.answers[name] = answer
	}
	o.mu.Unlock()
	return answer()
}
