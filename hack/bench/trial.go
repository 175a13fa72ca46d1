package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The pauses before a measurement. If a case has many files, removing them slows down ext4 for a minute.
const (
	pause     = 2 * time.Second
	longPause = time.Minute
)

// trial measures one method with one case.
type trial struct {
	*bench

	subject subject
	method  method
	round   int
}

// deliver measures how long it takes to deliver the images to a node. It uploads them first unless references are given. If the
// method links layers, deliver ignores the references, because every delivery includes the lookup.
func (p *trial) deliver(ctx context.Context, scenario, node string, references []string) ([]string, error) {
	if p.method.link == linkAuto {
		references = nil
	}
	var uploaded time.Duration
	err := p.measure(ctx, scenario, "delivery", func() (err error) {
		if references == nil {
			references = p.subject.references(p.method)
			if p.method.upload != nil {
				start := time.Now()
				if references, err = p.method.upload(ctx, references); err != nil {
					return err
				}
				uploaded = time.Since(start)
			}
		}
		return p.method.fetch(ctx, references, node)
	})
	if err == nil && uploaded > 0 {
		p.results.add(sample{p.subject.Name, scenario, p.method.Name, "upload", p.round, uploaded.Seconds()})
	}
	return references, err
}

// deliverFirst measures the first delivery, and the disk space that the image then takes on the node. It fails if layers were
// pulled that should have been linked.
func (p *trial) deliverFirst(ctx context.Context) (references []string, err error) {
	if p.subject.Images > 1 {
		return p.deliver(ctx, first, worker, nil)
	}
	before, err := p.ownBytes(ctx, worker)
	if err != nil {
		return nil, err
	}
	if references, err = p.deliver(ctx, first, worker, nil); err != nil {
		return nil, err
	}
	after, err := p.ownBytes(ctx, worker)
	if err != nil {
		return nil, err
	}
	size, err := p.imageSize(ctx, p.subject.references(p.method)[0])
	if err != nil {
		return nil, err
	}
	used := disk{p.subject.Name, p.method.Name, p.round, after - before, size}
	p.say("  %-27s %-15s %-9s %8.2f %%", p.method.Name, first, "disk", used.percent())
	if p.method.link == linkAuto {
		if err := used.checkLinked(p.subject); err != nil {
			return nil, err
		}
	}
	p.results.Disk = append(p.results.Disk, used)
	return references, nil
}

// run measures the time from the start of the delivery until a pod runs. If the method delivers on demand, prepare first restores
// the state before the delivery, and the pod then causes the delivery. Otherwise, run adds the time of the delivery that was
// measured last.
func (p *trial) run(ctx context.Context, scenario string, references []string, prepare func() error) error {
	image := references[0]
	if p.method.onDemand {
		image = p.subject.references(p.method)[0]
		if err := prepare(); err != nil {
			return err
		}
	}
	if err := p.removePod(ctx); err != nil {
		return err
	}
	return p.measure(ctx, scenario, "running", func() error { return p.runPod(ctx, image, p.method.onDemand) })
}

// runPresent measures how long it takes until a pod runs if the node already has its image. The webhook ignores the pod.
func (p *trial) runPresent(ctx context.Context, reference string) error {
	if _, err := p.inNode(ctx, worker, "crictl inspecti -q "+reference); err != nil {
		return err
	}
	if err := p.removePod(ctx); err != nil {
		return err
	}
	baseline := trial{p.bench, p.subject, method{Name: present, tag: p.method.tag, onDemand: true}, p.round}
	return baseline.measure(ctx, first, "running", func() error { return p.runPod(ctx, reference, false) })
}

// measure records how long action takes. It then waits until the images that action promised have been pushed.
func (p *trial) measure(ctx context.Context, scenario, figure string, action func() error) error {
	if err := errors.Join(p.warm(ctx, p.subject.references(p.method)), p.settle(ctx, p.subject.pause())); err != nil {
		return err
	}
	start := time.Now()
	if err := action(); err != nil {
		return fmt.Errorf("%s: %w", scenario, err)
	}
	seconds := time.Since(start).Seconds()
	if figure == "running" && !p.method.onDemand {
		seconds += p.results.last(p.subject.Name, scenario, p.method.Name, "delivery")
	}
	p.say("  %-27s %-15s %-9s %8.2f s", p.method.Name, scenario, figure, seconds)
	p.results.add(sample{p.subject.Name, scenario, p.method.Name, figure, p.round, seconds})
	return p.awaitPushes(ctx)
}
