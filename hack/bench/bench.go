package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"kind-local-registry/config"
)

// label marks the benchmark's images, so that cleanUp finds them.
const label = "kind-local-registry/bench"

// bench represents one run of the benchmark.
type bench struct {
	host

	progress io.Writer
	results  results
	builds   int // number of images built so far
}

func (b *bench) say(format string, args ...any) { _, _ = fmt.Fprintf(b.progress, format+"\n", args...) }

// run measures the cases, with linking off at first. It writes the results after each round, so that they are not lost if the run
// is interrupted.
func (b *bench) run(ctx context.Context, chosen []subject) (err error) {
	if _, err := b.command(ctx, "", "docker", "container", "inspect", config.RegistryContainer); err == nil {
		return errors.New("this host already has a registry, and the benchmark would delete its images: " +
			"run the benchmark elsewhere, or remove the registry first with bin/setup down --registry")
	}
	defer func() { err = errors.Join(err, b.cleanUp(context.WithoutCancel(ctx))) }()
	b.say("creating cluster %s and a registry", cluster)
	b.link = linkOff
	defer b.disconnect()
	if err := b.up(ctx); err != nil {
		return err
	}
	if b.registryData, err = b.mount(ctx, config.RegistryContainer, "/var/lib/registry"); err != nil {
		return err
	}
	if b.results.Machine, err = b.machine(ctx); err != nil {
		return err
	}
	var faults []error
	for _, s := range chosen {
		if err := b.measureCase(ctx, s); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", s.Name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(faults...)
}

func (b *bench) cleanUp(ctx context.Context) error {
	_, err := b.command(ctx, "", "sh", "-c", "docker image ls -q --filter label="+label+" | sort -u | xargs -r docker image rm -f")
	return errors.Join(b.down(ctx, "--registry"), err)
}

func (b *bench) measureCase(ctx context.Context, s subject) error {
	if err := b.makeBase(ctx, s); err != nil {
		return err
	}
	defer func() {
		_, _ = b.command(context.WithoutCancel(ctx), "", "docker", "image", "rm", "-f", s.baseReference())
	}()
	if err := b.resetPeaks(ctx); err != nil {
		return err
	}
	var faults []error
	for round := range b.runs {
		b.say("%s, round %d of %d", s.Name, round+1, b.runs)
		if err := b.round(ctx, s, round); err != nil {
			b.say("  failed, recreating the cluster: %v", err)
			faults = append(faults, err)
			if err := errors.Join(ctx.Err(), b.down(ctx), b.up(ctx)); err != nil {
				return errors.Join(append(faults, err)...)
			}
		}
		if err := b.results.write(b.out); err != nil {
			return err
		}
	}
	return errors.Join(faults...)
}

// round measures every chosen method in every scenario once. The order of the methods changes from round to round.
func (b *bench) round(ctx context.Context, s subject, round int) error {
	all := b.chosenMethods()
	turn := round % len(all)
	order := slices.Concat(all[turn:], all[:turn])
	for _, m := range order {
		if err := b.makeImages(ctx, s, m); err != nil {
			return err
		}
		if err := b.measureMethod(ctx, s, m, round); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		if err := b.keepPeaks(ctx, s); err != nil { // the next method may replace the containers
			return err
		}
	}
	if b.chooses(floor) {
		if err := b.measureFloor(ctx, s, round); err != nil {
			return fmt.Errorf("%s: %w", floor, err)
		}
	}
	if !s.has(recreate) {
		return nil
	}
	if err := errors.Join(b.down(ctx), b.up(ctx)); err != nil {
		return err
	}
	for _, m := range order {
		if err := b.measureRecreated(ctx, s, m, round); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	return nil
}

// keepPeaks records each container's peak memory so far.
func (b *bench) keepPeaks(ctx context.Context, s subject) error {
	for _, container := range b.containers() {
		peak, err := b.peak(ctx, container)
		if err != nil {
			return err
		}
		b.results.addPeak(memory{s.Name, container, peak})
	}
	return nil
}

// measureMethod measures a method in the current cluster.
func (b *bench) measureMethod(ctx context.Context, s subject, m method, round int) error {
	trial := trial{b, s, m, round}
	if err := b.useLink(ctx, m.link); err != nil {
		return err
	}
	if err := errors.Join(b.empty(ctx, s), b.forget(m)); err != nil {
		return err
	}
	references, err := trial.deliverFirst(ctx)
	if err != nil {
		return err
	}
	if s.has(second) {
		if _, err := trial.deliver(ctx, second, controlPlane, references); err != nil {
			return err
		}
	}
	if s.Images > 1 {
		return nil
	}
	if err := trial.run(ctx, first, references, func() error { return errors.Join(b.empty(ctx, s), b.forget(m)) }); err != nil {
		return err
	}
	if m.link == linkAuto {
		if err := trial.runPresent(ctx, references[0]); err != nil {
			return err
		}
	}
	return trial.rebuild(ctx)
}

// rebuild measures the delivery of a rebuilt image, if that is one of the case's scenarios.
func (p *trial) rebuild(ctx context.Context) error {
	if !p.subject.has(rebuild) {
		return nil
	}
	if err := p.makeImages(ctx, p.subject, p.method); err != nil {
		return err
	}
	references, err := p.deliver(ctx, rebuild, worker, nil)
	if err != nil {
		return err
	}
	return p.run(ctx, rebuild, references, func() error { return p.makeImages(ctx, p.subject, p.method) })
}

// measureRecreated measures a method in a new cluster, after removing the images of the other methods from its nodes. The
// registry keeps all images.
func (b *bench) measureRecreated(ctx context.Context, s subject, m method, round int) error {
	trial := trial{b, s, m, round}
	if err := b.useLink(ctx, m.link); err != nil {
		return err
	}
	var references []string
	if m.upload != nil {
		var err error
		if references, err = m.upload(ctx, s.references(m)); err != nil {
			return err
		}
	}
	if err := errors.Join(b.awaitPushes(ctx), b.empty(ctx, s)); err != nil {
		return err
	}
	references, err := trial.deliver(ctx, recreate, worker, references)
	if err != nil {
		return err
	}
	return trial.run(ctx, recreate, references, func() error { return b.empty(ctx, s) })
}

// empty removes the case's images from all nodes.
func (b *bench) empty(ctx context.Context, s subject) error {
	if err := b.removePod(ctx); err != nil {
		return err
	}
	out, err := b.command(ctx, "", "docker", "image", "inspect", "--format", "{{index .RootFS.Layers 0}}", s.baseReference())
	if err != nil {
		return err
	}
	b.layers = []string{out}
	return errors.Join(b.clear(ctx, worker), b.clear(ctx, controlPlane))
}

// machine returns the machine's properties that affect the results.
func (b *bench) machine(ctx context.Context) (machine, error) {
	var m machine
	var faults []error
	output := func(name string, args ...string) string {
		out, err := b.command(ctx, "", name, args...)
		faults = append(faults, err)
		return out
	}
	m.Date = time.Now().UTC().Format(time.DateOnly)
	m.CPUs = output("nproc")
	m.MemoryGiB = output("sh", "-c", `awk '/MemTotal/ { printf "%.0f", $2 / 1048576 }' /proc/meminfo`)
	m.Docker = output("docker", "version", "--format", "{{.Server.Version}}")
	m.Storage = output("docker", "info", "--format", "{{.Driver}}")
	m.Kind = output("sh", "-c", "kind version | cut -d ' ' -f 1,2")
	m.Kubernetes = output("docker", "exec", worker, "cat", "/kind/version")
	m.Containerd = output("docker", "exec", worker, "sh", "-c", "containerd --version | cut -d ' ' -f 3 | cut -d + -f 1")
	return m, errors.Join(faults...)
}
