package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/sirupsen/logrus"

	"kind-local-registry/internal/inventory"
)

// verifyAll reads all blobs, one after another, and compares them with their digests. sizes contains the blobs' sizes in bytes.
func (v *verifier) verifyAll(
	ctx context.Context, sizes map[digest.Digest]int64, progress func(inventory.Progress),
) (inventory.Checked, error) {
	checked := inventory.Checked{Damaged: []digest.Digest{}}
	now := inventory.Progress{}
	var blobs []digest.Digest
	for d, size := range sizes {
		blobs = append(blobs, d)
		now.Total += size
	}
	slices.Sort(blobs)
	for _, d := range blobs {
		if ctx.Err() != nil {
			return checked, ctx.Err()
		}
		found, _, _ := v.flights.Do(d.String(), func() (any, error) { return v.verify(d), nil }) // never fails
		now.Bytes += sizes[d]
		progress(now)
		switch found {
		case blobMissing: // it was removed in the meantime
			continue
		case blobDamaged:
			checked.Damaged = append(checked.Damaged, d)
		}
		checked.Blobs++
		checked.Bytes += sizes[d]
	}
	return checked, nil
}

// check returns a fault for each promise whose file is missing or damaged. With repair, it writes the file again.
func (p *promises) check(repair bool) []inventory.Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	var faults []inventory.Fault
	for _, promised := range p.all {
		want, err := json.Marshal(promised)
		if err != nil {
			continue // it was read from JSON
		}
		got, err := os.ReadFile(filepath.Join(p.directory, fileName(promised))) // #nosec G304 -- the name is two digests
		if err == nil && bytes.Equal(got, want) {
			continue
		}
		fault := inventory.Fault{Problem: inventory.LinkDamaged, Repository: promised.Repository, Digest: promised.Digest()}
		if repair {
			if err := p.write(promised); err != nil {
				logrus.WithError(err).Warn("cannot repair a promise")
			} else {
				fault.Repaired = true
			}
		}
		faults = append(faults, fault)
	}
	return faults
}
