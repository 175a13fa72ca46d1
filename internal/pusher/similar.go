package pusher

import (
	"context"
	"slices"
	"time"

	"kind-local-registry/internal/rewrite"
	"kind-local-registry/internal/similar"
)

const (
	// maxSimilar is the maximum number of similar names in a Presence.
	maxSimilar = 3
	// listTime limits how long a lookup waits for the list of the host's tags.
	listTime = 100 * time.Millisecond
	// similarTime limits how much longer a lookup takes because of similar names. It includes listTime.
	similarTime = 200 * time.Millisecond
)

// similar returns the host's tags that the user may have meant instead of name. typo reports whether one of them differs from name
// only by a typing error and was built on the host. Images that the rules exclude are not returned.
func (s *Service) similar(ctx context.Context, name rewrite.Name) (names []string, typo bool) {
	ctx, cancel := context.WithTimeout(ctx, similarTime)
	defer cancel()
	for _, match := range s.matches(ctx, name) {
		familiar := match.Name.Familiar()
		if len(names) == maxSimilar || ctx.Err() != nil {
			break
		}
		if slices.Contains(names, familiar) {
			continue
		}
		if image, err := s.find(ctx, match.Name); err == nil { // the list may still contain a tag that was removed
			names = append(names, familiar)
			typo = typo || match.Typo && !image.Pulled
		}
	}
	return names, typo
}

// matches compares the host's tags with the name. A name in the local registry is also compared as the name that its image has on
// the host.
func (s *Service) matches(ctx context.Context, name rewrite.Name) []similar.Match {
	tags := s.hostTags(ctx)
	found := similar.Find(name, tags)
	if aliases := name.Aliases(s.host); len(aliases) > 0 {
		found = append(found, similar.Find(aliases[len(aliases)-1], tags)...)
	}
	return found
}

// hostTags returns the host's tags. If they may have changed since they were listed, it waits for a new list. If that takes longer than
// listTime, it returns the old list, and a later caller gets the new one.
func (s *Service) hostTags(ctx context.Context) []rewrite.Name {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	for range 2 { // a tag may have changed while the first list was made
		if s.tags.fresh() {
			break
		}
		select {
		case <-s.listTags():
		case <-ctx.Done():
		}
	}
	return s.tags.get()
}

// listTags lists the host's tags in the background, unless this is being done already. The returned channel is closed when the list
// is complete.
func (s *Service) listTags() <-chan struct{} {
	listed, begins := s.tags.begin()
	if !begins {
		return listed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		s.tags.end(nil, s.ctx.Err())
		return listed
	}
	s.background.Go(func() {
		var tags []rewrite.Name
		names, err := s.docker.Names(s.ctx)
		for _, name := range names {
			if tag, err := rewrite.Parse(name); err == nil {
				tags = append(tags, tag)
			}
		}
		s.tags.end(tags, err)
	})
	return listed
}
