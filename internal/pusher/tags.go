package pusher

import (
	"sync"
	"time"

	"kind-local-registry/internal/rewrite"
)

const (
	// maxTagsAge is how long the list of the host's tags is used while the daemon's events report changes.
	maxTagsAge = time.Minute
	// unwatchedTagsAge is how long the list is used without the daemon's events.
	unwatchedTagsAge = time.Second
)

// tagList is a list of the host's tags, which may be out of date. The zero value is an empty list that is out of date. It is safe for
// concurrent use.
type tagList struct {
	mu      sync.Mutex
	tags    []rewrite.Name
	asOf    time.Time // when the daemon was asked for the tags; zero if a tag has changed since
	watched bool      // whether the daemon's events report changes

	listed chan struct{} // closed when the running listing ends; nil if none is running
	began  time.Time     // when the running listing began; zero if a tag has changed since
}

// fresh reports whether the list can be used.
func (l *tagList) fresh() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	limit := unwatchedTagsAge
	if l.watched {
		limit = maxTagsAge
	}
	return time.Since(l.asOf) < limit
}

// get returns the tags. The caller must not change them.
func (l *tagList) get() []rewrite.Name {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tags
}

// expire records that a tag has changed.
func (l *tagList) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asOf, l.began = time.Time{}, time.Time{}
}

// setWatched records whether the daemon's events report changes from now on. Earlier changes may not have been reported.
func (l *tagList) setWatched(watched bool) {
	l.mu.Lock()
	l.watched = watched
	l.mu.Unlock()
	l.expire()
}

// begin returns a channel that is closed when the running listing ends. If none is running, begins is true, and the caller must list
// the tags and then call end.
func (l *tagList) begin() (listed <-chan struct{}, begins bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listed != nil {
		return l.listed, false
	}
	l.listed, l.began = make(chan struct{}), time.Now()
	return l.listed, true
}

// end replaces the list with the tags, unless they could not be listed. It closes the channel that begin returned.
func (l *tagList) end(tags []rewrite.Name, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.listed)
	l.listed = nil
	if err != nil {
		return
	}
	l.tags, l.asOf = tags, l.began
}
