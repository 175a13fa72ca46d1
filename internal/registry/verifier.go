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
)

const (
	// blobsDirectory is where distribution keeps all blobs, in AA/AABB…/data by their digests.
	blobsDirectory = "docker/registry/v2/blobs/sha256"
	// patience is how long a question waits for a blob to be verified; small ones are by then. A look-up of the webhook has
	// little more time. What takes longer is taken for intact until it is found to be damaged.
	patience = 400 * time.Millisecond
)

// verifier knows which blobs are what their digests say. It reads a blob when it is first asked for after a start, and
// when its file is not the one any more that was verified. A damaged one is removed, so that it can be uploaded anew.
type verifier struct {
	root    string
	damaged prometheus.Counter
	pending prometheus.Gauge // blobs that the scrub has not verified yet

	flights singleflight.Group
	mu      sync.Mutex
	known   map[digest.Digest]stamp
}

// stamp tells one state of a file from another.
type stamp struct {
	inode   uint64
	size    int64
	changed syscall.Timespec
}

func newVerifier(root string) *verifier {
	return &verifier{
		root: root, known: map[digest.Digest]stamp{},
		damaged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kind_local_registry_blobs_damaged_total",
			Help: "Blobs that did not match their digests any more, and were removed.",
		}),
		pending: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kind_local_registry_blobs_unverified",
			Help: "Blobs that were there at the start and are yet to be verified.",
		}),
	}
}

// path returns the file of a blob.
func (v *verifier) path(d digest.Digest) string {
	hex := d.Encoded()
	return filepath.Join(v.root, blobsDirectory, hex[:2], hex, "data")
}

// intact says whether the blob is what its digest says. One that is not there is.
func (v *verifier) intact(ctx context.Context, d digest.Digest) bool {
	now, err := stampOf(v.path(d))
	if err != nil {
		return true // whoever opens it will say what is wrong
	}
	v.mu.Lock()
	verified := v.known[d] == now
	v.mu.Unlock()
	if verified {
		return true
	}
	select {
	case result := <-v.flights.DoChan(d.String(), func() (any, error) { return v.verify(d), nil }):
		return result.Val == true
	case <-time.After(patience):
	case <-ctx.Done():
	}
	return true
}

// has says whether there is such a blob, and it is intact.
func (v *verifier) has(ctx context.Context, d digest.Digest) bool {
	if d.Algorithm() != digest.SHA256 {
		return false
	}
	_, err := os.Stat(v.path(d))
	return err == nil && v.intact(ctx, d)
}

// verify reads the blob, and removes it where it is damaged.
func (v *verifier) verify(d digest.Digest) bool {
	file, err := os.Open(v.path(d))
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if err != nil {
		return true
	}
	defer func() { _ = file.Close() }()
	before, err := stampOf(v.path(d))
	if err != nil {
		return true
	}
	hash := d.Verifier()
	if _, err := io.CopyBuffer(hash, file, make([]byte, 256<<10)); err != nil {
		logrus.WithField("digest", d).WithError(err).Warn("blob cannot be read")
	} else if hash.Verified() {
		v.remember(d, before)
		return true
	}
	return v.remove(d, before)
}

// remove removes a damaged blob, unless it has been replaced meanwhile.
func (v *verifier) remove(d digest.Digest, read stamp) bool {
	if now, err := stampOf(v.path(d)); err != nil || now != read {
		return err == nil
	}
	if err := os.Remove(v.path(d)); err != nil {
		logrus.WithField("digest", d).WithError(err).Error("damaged blob cannot be removed")
		return false
	}
	v.damaged.Inc()
	logrus.WithFields(logrus.Fields{"digest": d, "bytes": read.size}).
		Warn("damaged blob removed; the next push of an image that has it brings it anew")
	return false
}

// trust remembers a blob that has just been verified while it was written.
func (v *verifier) trust(d digest.Digest) {
	if now, err := stampOf(v.path(d)); err == nil {
		v.remember(d, now)
	}
}

func (v *verifier) remember(d digest.Digest, as stamp) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.known[d] = as
}

// scrub verifies every blob, one after the other, until ctx ends.
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

// stampOf returns the state of a file. The time of its last change cannot be set back.
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

// blobFile matches the path of a blob, as distribution's driver is given it.
var blobFile = regexp.MustCompile(`^/docker/registry/v2/blobs/sha256/([0-9a-f]{2})/([0-9a-f]{64})/data$`) //nolint:gochecknoglobals // a constant

// blobDigest returns the digest of the blob at a path.
func blobDigest(file string) (digest.Digest, bool) {
	found := blobFile.FindStringSubmatch(file)
	if found == nil || found[1] != found[2][:2] {
		return "", false
	}
	return digest.NewDigestFromEncoded(digest.SHA256, found[2]), true
}

// validLink says whether a link says what it should: the digest of a blob, and where that stands in its path too, that one.
func validLink(link string, content []byte) bool {
	d, err := digest.Parse(string(content))
	if err != nil {
		return false
	}
	directory := path.Dir(link)
	return path.Base(directory) == "current" || path.Base(directory) == d.Encoded()
}
