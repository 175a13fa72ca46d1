package disk

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/inventory"
)

// Verified is the outcome of Verify.
type Verified struct {
	// Blobs is how many blobs were compared with their digests, and Bytes is their total size.
	Blobs int   `json:"blobs"`
	Bytes int64 `json:"bytes"`
	// Damaged are the blobs that did not match their digests.
	Damaged []digest.Digest `json:"damaged"`
	// Faults are the images, tags and links that were found faulty. Those that are repaired are marked.
	Faults []Fault `json:"faults"`
}

// Fault is an image, tag or link that was found faulty.
type Fault struct {
	inventory.Fault

	// Detail explains why the fault is not repaired; "" if it is.
	Detail string `json:"detail,omitempty"`
}

// Broken returns the faults that are not repaired.
func (v Verified) Broken() []Fault {
	var broken []Fault
	for _, fault := range v.Faults {
		if !fault.Repaired {
			broken = append(broken, fault)
		}
	}
	return broken
}

// Verify compares every blob in the registry with its digest, and checks whether every image is complete. With repair, it writes
// damaged links again, and pushes the images that have lost blobs, if the host still has them.
func (p *Pruner) Verify(ctx context.Context, repair bool, progress Progress) (Verified, error) {
	checked, err := p.registry.Verify(ctx, inventory.Check{Blobs: true, Repair: repair}, func(now inventory.Progress) {
		progress(Step{Text: "verifying the registry's blobs", Bytes: now.Bytes, Total: now.Total})
	})
	if err != nil {
		return Verified{}, err
	}
	verified := Verified{Blobs: checked.Blobs, Bytes: checked.Bytes, Damaged: checked.Damaged, Faults: []Fault{}}
	details := map[string]string{} // why an image could not be pushed again
	for _, fault := range checked.Faults {
		one := Fault{Fault: fault}
		if repair && !fault.Repaired {
			progress.begin("pushing %s again", fault.Repository)
			if err := p.restore(ctx, fault); err != nil {
				one.Detail = err.Error()
				details[key(fault)] = one.Detail
			}
		}
		verified.Faults = append(verified.Faults, one)
	}
	if !repair || len(verified.Faults) == 0 {
		return verified, nil
	}
	return p.recheck(ctx, verified, details)
}

// restore pushes the image of a fault.
func (p *Pruner) restore(ctx context.Context, fault inventory.Fault) error {
	d, err := p.host.Restore(ctx, fault)
	if err == nil && fault.Digest != "" && d != fault.Digest {
		err = fmt.Errorf("the host now has another build, %s", d)
	}
	p.log.LogAttrs(ctx, slog.LevelInfo, "faulty image pushed again", slog.String("image", fault.Repository), slog.Bool("repaired", err == nil))
	return err
}

// recheck checks again whether every image is complete, because one push may have repaired several images. details explains why an
// image could not be pushed again.
func (p *Pruner) recheck(ctx context.Context, verified Verified, details map[string]string) (Verified, error) {
	checked, err := p.registry.Verify(ctx, inventory.Check{Repair: true}, func(inventory.Progress) {})
	if err != nil {
		return verified, err
	}
	broken := map[string]bool{}
	for _, fault := range checked.Faults {
		broken[key(fault)] = !fault.Repaired
	}
	known := map[string]bool{}
	for i := range verified.Faults {
		fault := &verified.Faults[i]
		known[key(fault.Fault)] = true
		fault.Repaired = !broken[key(fault.Fault)]
		if fault.Detail = ""; !fault.Repaired {
			fault.Detail = details[key(fault.Fault)]
		}
	}
	for _, fault := range checked.Faults {
		if !known[key(fault)] { // a lost image manifest hid it
			verified.Faults = append(verified.Faults, Fault{Fault: fault})
		}
	}
	return verified, nil
}

// key identifies the image or tag of a fault.
func key(f inventory.Fault) string {
	if f.Digest == "" {
		return fmt.Sprintf("%s:%v", f.Repository, f.Tags)
	}
	return f.Repository + "@" + f.Digest.String()
}
