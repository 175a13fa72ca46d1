package disk

import (
	"context"
	"errors"
	"fmt"

	"kind-local-registry/config"
	"kind-local-registry/internal/disk"
	"kind-local-registry/internal/host/step"
	"kind-local-registry/internal/pusher"
)

// ErrBroken means that the registry has faulty images.
var ErrBroken = errors.New("the registry has faulty images")

// Disk asks the pusher about disk space.
type Disk struct {
	connect func(context.Context) (*pusher.Client, error)
}

// New returns a Disk. connect connects to the pusher.
func New(connect func(context.Context) (*pusher.Client, error)) *Disk { return &Disk{connect: connect} }

// Images lists the images on the host, in the registry and on the nodes.
func (d *Disk) Images(ctx context.Context, progress disk.Progress) (disk.Report, error) {
	return ask(ctx, d, func(c *pusher.Client) (disk.Report, error) { return c.Images(ctx, progress) })
}

// Prune removes unused images, or returns a plan if the options say so.
func (d *Disk) Prune(ctx context.Context, options disk.Options, progress disk.Progress) (disk.Pruned, error) {
	return ask(ctx, d, func(c *pusher.Client) (disk.Pruned, error) { return c.Prune(ctx, options, progress) })
}

// Verify verifies the registry's images, and repairs them if repair is true.
func (d *Disk) Verify(ctx context.Context, repair bool, progress disk.Progress) (disk.Verified, error) {
	return ask(ctx, d, func(c *pusher.Client) (disk.Verified, error) { return c.Verify(ctx, repair, progress) })
}

// ask connects to the pusher and sends it a request.
func ask[Result any](ctx context.Context, d *Disk, request func(*pusher.Client) (Result, error)) (result Result, err error) {
	client, err := d.connect(ctx)
	if err != nil {
		return result, err
	}
	defer client.Close()
	if result, err = request(client); err != nil && ctx.Err() == nil {
		err = step.Remedy(err, "see docker logs "+config.PusherContainer+", and setup status")
	}
	return result, err
}

// Blocked returns an error, with a remedy, if the pods of a cluster are unknown, so that nothing can be removed from the registry.
// It returns nil if the registry can be pruned, or can never be.
func Blocked(plan disk.Plan) error {
	if plan.BlockedBy == "" {
		return nil
	}
	return step.Remedy(errors.New("nothing is removed from the registry: "+plan.Blocked), fmt.Sprintf(
		"start it (setup up --cluster %[1]s), or delete it (kind delete cluster --name %[1]s)", plan.BlockedBy))
}

// Faulty returns an error that wraps ErrBroken, with a remedy, if images are not repaired. repair tells whether a repair was
// tried.
func Faulty(verified disk.Verified, repair bool) error {
	broken := len(verified.Broken())
	switch {
	case broken == 0:
		return nil
	case !repair:
		return step.Remedy(fmt.Errorf("%w: %s found", ErrBroken, step.Count(broken, "fault")), "repair them with setup verify --repair")
	}
	return step.Remedy(fmt.Errorf("%w: %s could not be repaired", ErrBroken, step.Count(broken, "fault")),
		"build or pull these images again and push them with setup push, or remove them with setup prune")
}
