package store

import (
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/promise"
)

const (
	// saveInterval is how often the time of the last use is saved to disk.
	saveInterval = time.Minute
	// relyFor is how long a client may take between asking whether the registry has a blob and pushing an image manifest that
	// needs the blob.
	relyFor = time.Hour
	// relyAfter replaces relyFor once the image manifest has arrived, in case another push needs the same blob.
	relyAfter = time.Minute
)

// Store is the registry's data directory. It is safe for concurrent use.
type Store struct {
	root     string
	promised func() []promise.Promise
	forget   func(digest.Digest)

	// changing is held while images are removed or repaired, which may take a while. It is locked before writing.
	changing sync.Mutex
	// writing is read-locked by requests that write an image manifest and its tag. It is locked before mu.
	writing sync.RWMutex

	mu   sync.Mutex
	uses map[Key]*use
}

// Key names what a request uses: the blob with the digest or, if Repository is set, the image manifest or index in the
// repository.
type Key struct {
	Repository string
	Digest     digest.Digest
}

// use records when a key was last used.
type use struct {
	pins  int       // number of requests that are using the key
	until time.Time // when the key was last used, or until when a client relies on it
	saved time.Time // the value of until on disk
}

// New returns the store in the data directory. promised returns the images that are promised. forget is called for each blob
// after it was removed. New deletes what an interrupted removal left behind.
func New(root string, promised func() []promise.Promise, forget func(digest.Digest)) (*Store, error) {
	s := &Store{root: root, promised: promised, forget: forget, uses: map[Key]*use{}}
	return s, s.emptyTrash()
}

// End ends a request's use of its keys.
type End func(Reliance)

// Reliance is how a client relies on the blobs after its request has ended.
type Reliance int

const (
	// Unneeded means that the client does not rely on them. They count as used until now.
	Unneeded Reliance = iota
	// Relied means that the client may push an image manifest that needs the blobs.
	Relied
	// Fulfilled means that the client has pushed the image manifest that needs the blobs.
	Fulfilled
)

// Use records that a request uses the keys, until the caller calls the result. What is being used is never removed.
func (s *Store) Use(keys ...Key) End {
	var pinned []Key
	s.mu.Lock()
	for _, k := range keys {
		if k.valid() {
			s.find(k).pins++
			pinned = append(pinned, k)
		}
	}
	s.mu.Unlock()
	return func(r Reliance) {
		for _, k := range pinned {
			s.end(k, r, time.Now())
		}
	}
}

// Write calls write, which writes an image manifest and its tag. No image is removed in the meantime.
func (s *Store) Write(write func()) {
	s.writing.RLock()
	defer s.writing.RUnlock()
	write()
}

// find returns the use of a key, and begins one if there is none. s.mu must be locked.
func (s *Store) find(k Key) *use {
	found := s.uses[k]
	if found == nil {
		saved := s.saved(k)
		found = &use{until: saved, saved: saved}
		s.uses[k] = found
	}
	return found
}

// saved returns the time on disk of the last use. It is the zero time if the registry does not have what the key names.
func (s *Store) saved(k Key) time.Time {
	info, err := os.Stat(s.path(k))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// end ends one request's use of a key. It forgets the key if the registry does not have it, so that requests for missing content
// take up no memory.
func (s *Store) end(k Key, r Reliance, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.uses[k]
	u.pins--
	until := now
	if r == Relied && k.Repository == "" {
		until = now.Add(relyFor)
	}
	switch {
	case r == Fulfilled && k.Repository == "":
		u.until = now.Add(relyAfter)
	case until.After(u.until):
		u.until = until
	}
	if change := u.until.Sub(u.saved).Abs(); change < saveInterval {
		return
	}
	err := os.Chtimes(s.path(k), time.Time{}, u.until)
	switch {
	case err == nil:
		u.saved = u.until
	case errors.Is(err, fs.ErrNotExist) && u.pins == 0:
		delete(s.uses, k)
	}
}

// usedAfter reports whether the key is being used, or was used after the given time. s.mu must be locked.
func (s *Store) usedAfter(k Key, since time.Time) bool {
	if u := s.uses[k]; u != nil {
		return u.pins > 0 || u.until.After(since)
	}
	return s.saved(k).After(since.Add(-saveInterval)) // another process may have ended before it saved the last use
}

// relied returns those blobs on which clients rely.
func (s *Store) relied(blobs map[digest.Digest]int64, now time.Time) []digest.Digest {
	s.mu.Lock()
	defer s.mu.Unlock()
	relied := []digest.Digest{}
	for d := range blobs {
		key := Key{Digest: d}
		if u := s.uses[key]; u != nil && u.until.After(now) || u == nil && s.saved(key).After(now) {
			relied = append(relied, d)
		}
	}
	return relied
}

// lastUsed returns when an image was last used.
func (s *Store) lastUsed(k Key) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.uses[k]; u != nil {
		return u.until
	}
	return s.saved(k)
}
