package registry

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"golang.org/x/sync/singleflight"

	"kind-local-registry/config"
)

const (
	// blobsDirectory is the directory in which distribution stores all blobs. The file for digest AABB… is AA/AABB…/data.
	blobsDirectory = "docker/registry/v2/blobs/sha256"
	// verifyTimeout is how long a request waits while a blob is verified. It is enough for a small blob, and the webhook's
	// lookups cannot wait much longer. A blob that takes longer is treated as intact until it is found to be damaged.
	verifyTimeout = 400 * time.Millisecond
)

// verifier compares blobs with their digests. It reads a blob on the first request after the registry starts, and again
// whenever the blob's file has changed. It removes damaged blobs so that they can be uploaded again.
type verifier struct {
	root    string
	damaged prometheus.Counter
	pending prometheus.Gauge // number of blobs that scrub has not verified yet

	flights singleflight.Group
	mu      sync.Mutex
	known   map[digest.Digest]stamp
}

// condition is what verify finds out about a blob.
type condition int

const (
	blobIntact condition = iota
	blobDamaged
	blobMissing
)

// stamp identifies one state of a file.
type stamp struct {
	inode   uint64
	size    int64
	changed syscall.Timespec
}

func newVerifier(root string) *verifier {
	return &verifier{
		root: root, known: map[digest.Digest]stamp{},
		damaged: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: config.MetricsNamespace,
			Name:      "blobs_damaged_total",
			Help:      "Blobs removed because they did not match their digests.",
		}),
		pending: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: config.MetricsNamespace,
			Name:      "blobs_unverified",
			Help:      "Blobs that were present when the registry started and are not verified yet.",
		}),
	}
}

// path returns the path of a blob's file.
func (v *verifier) path(d digest.Digest) string {
	hex := d.Encoded()
	return filepath.Join(v.root, blobsDirectory, hex[:2], hex, "data")
}

// intact reports whether the blob matches its digest. It also returns true if the blob is missing, or if verifying it takes
// longer than verifyTimeout.
func (v *verifier) intact(ctx context.Context, d digest.Digest) bool {
	now, err := stampOf(v.path(d))
	if err != nil {
		return true // opening the file will return the error
	}
	v.mu.Lock()
	verified := v.known[d] == now
	v.mu.Unlock()
	if verified {
		return true
	}
	select {
	case result := <-v.flights.DoChan(d.String(), func() (any, error) { return v.verify(d), nil }):
		return result.Val == blobIntact
	case <-time.After(verifyTimeout):
	case <-ctx.Done():
	}
	return true
}

// has reports whether the blob exists and is intact.
func (v *verifier) has(ctx context.Context, d digest.Digest) bool {
	if d.Algorithm() != digest.SHA256 {
		return false
	}
	_, err := os.Stat(v.path(d))
	return err == nil && v.intact(ctx, d)
}

// verify reads the blob and returns its condition. It removes a damaged blob.
func (v *verifier) verify(d digest.Digest) condition {
	file, err := os.Open(v.path(d))
	if errors.Is(err, fs.ErrNotExist) {
		return blobMissing
	}
	if err != nil {
		return blobIntact
	}
	defer func() { _ = file.Close() }()
	before, err := stampOf(v.path(d))
	if err != nil {
		return blobIntact
	}
	hash := d.Verifier()
	if _, err := io.CopyBuffer(hash, file, make([]byte, 256<<10)); err != nil {
		logrus.WithField("digest", d).WithError(err).Warn("cannot read a blob")
	} else if hash.Verified() {
		v.remember(d, before)
		return blobIntact
	}
	return v.remove(d, before)
}

// remove removes a damaged blob. If the file has changed since it was read, remove keeps the file, and treats it as intact.
func (v *verifier) remove(d digest.Digest, read stamp) condition {
	now, err := stampOf(v.path(d))
	switch {
	case err != nil:
		return blobMissing
	case now != read:
		return blobIntact
	}
	if err := os.Remove(v.path(d)); err != nil {
		logrus.WithField("digest", d).WithError(err).Error("cannot remove a damaged blob")
		return blobDamaged
	}
	v.damaged.Inc()
	logrus.WithFields(logrus.Fields{"digest": d, "bytes": read.size}).
		Warn("removed a damaged blob; the next push of an image that contains the blob restores it")
	return blobDamaged
}

// trust records that a blob is intact, because distribution verified it during the upload.
func (v *verifier) trust(d digest.Digest) {
	if now, err := stampOf(v.path(d)); err == nil {
		v.remember(d, now)
	}
}

// forget drops what is known about a blob that was removed.
func (v *verifier) forget(d digest.Digest) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.known, d)
}

func (v *verifier) remember(d digest.Digest, as stamp) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.known[d] = as
}

// scrub verifies all blobs, one after another, until ctx ends.
func (v *verifier) scrub(ctx context.Context) {
	blobs, err := fs.Glob(os.DirFS(v.root), blobsDirectory+"/*/*/data")
	if err != nil {
		return
	}
	v.pending.Set(float64(len(blobs)))
	for _, file := range blobs {
		if ctx.Err() != nil {
			return
		}
		if d, isBlob := blobDigest("/" + file); isBlob {
			_, _, _ = v.flights.Do(d.String(), func() (any, error) { return v.verify(d), nil })
		}
		v.pending.Dec()
	}
}

// stampOf returns a file's current state. The state includes ctime, which programs cannot set.
func stampOf(name string) (stamp, error) {
	info, err := os.Stat(name)
	if err != nil {
		return stamp{}, err
	}
	status, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return stamp{}, errors.New("no inode")
	}
	return stamp{inode: status.Ino, size: info.Size(), changed: status.Ctim}, nil
}

// blobFile matches a blob's path in the form that distribution passes to the driver.
var blobFile = regexp.MustCompile(`^/docker/registry/v2/blobs/sha256/([0-9a-f]{2})/([0-9a-f]{64})/data$`) //nolint:gochecknoglobals // a constant

// blobDigest returns the digest of the blob at a path. It returns false if the path is not a blob's path.
func blobDigest(file string) (digest.Digest, bool) {
	found := blobFile.FindStringSubmatch(file)
	if found == nil || found[1] != found[2][:2] {
		return "", false
	}
	return digest.NewDigestFromEncoded(digest.SHA256, found[2]), true
}

// validLink reports whether a link contains a digest. If the link's path contains a digest too, the two must be equal.
func validLink(link string, content []byte) bool {
	d, err := digest.Parse(string(content))
	if err != nil {
		return false
	}
	directory := path.Dir(link)
	return path.Base(directory) == "current" || path.Base(directory) == d.Encoded()
}
