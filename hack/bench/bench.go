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

// run measures the cases. It writes the results after each round, so that they are not lost if the run is interrupted.
func (b *bench) run(ctx context.Context, chosen []subject) (err error) {
	if _, err := b.command(ctx, "", "docker", "container", "inspect", config.RegistryContainer); err == nil {
		return errors.New("this host already has a registry, and the benchmark would delete its images: " +
			"run the benchmark elsewhere, or remove the registry first with bin/setup down --registry")
	}
	defer func() { err = errors.Join(err, b.cleanUp(context.WithoutCancel(ctx))) }()
	b.say("creating cluster %s and a registry", cluster)
	if err := b.up(ctx); err != nil {
		return err
	}
	volume := `{{range .Mounts}}{{if eq .Destination "/var/lib/registry"}}{{.Source}}{{end}}{{end}}`
	if b.registryData, err = b.command(ctx, "", "docker", "container", "inspect", "--format", volume, config.RegistryContainer); err != nil {
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
	return errors.Join(b.down(ctx, "--registry", "--yes"), err)
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

// round measures every method in every scenario once. The order of the methods changes from round to round.
func (b *bench) round(ctx context.Context, s subject, round int) error {
	all := b.methods()
	turn := round % len(all)
	order := slices.Concat(all[turn:], all[:turn])
	for _, m := range order {
		if err := b.makeImages(ctx, s, m); err != nil {
			return err
		}
		if err := b.measureMethod(ctx, s, m, round); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	if err := b.measureFloor(ctx, s, round); err != nil {
		return fmt.Errorf("%s: %w", floor, err)
	}
	if err := b.keepPeaks(ctx, s); err != nil || !s.has(recreate) {
		return err
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
	for _, container := range containers() {
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
	if err := errors.Join(b.empty(ctx, s), b.forget(m)); err != nil {
		return err
	}
	references, err := trial.deliver(ctx, first, worker, nil)
	if err != nil {
		return err
	}
	if s.has(second) {
		if _, err := trial.deliver(ctx, second, controlPlane, references); err != nil {
			return err
		}
	}
	if !s.has(rebuild) {
		return nil
	}
	if err := trial.run(ctx, first, references, func() error { return errors.Join(b.empty(ctx, s), b.forget(m)) }); err != nil {
		return err
	}
	if err := b.makeImages(ctx, s, m); err != nil {
		return err
	}
	if references, err = trial.deliver(ctx, rebuild, worker, nil); err != nil {
		return err
	}
	return trial.run(ctx, rebuild, references, func() error { return b.makeImages(ctx, s, m) })
}

// measureRecreated measures a method in a new cluster, after removing the images of the other methods from its nodes. The
// registry keeps all images.
func (b *bench) measureRecreated(ctx context.Context, s subject, m method, round int) error {
	trial := trial{b, s, m, round}
	var references []string
	if m.upload != nil {
		var err error
		if references, err = m.upload(ctx, s.references(m)); err != nil {
			return err
		}
	}
	if err := b.empty(ctx, s); err != nil {
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

// trial measures one method with one case.
type trial struct {
	*bench

	subject subject
	method  method
	round   int
}

// deliver measures how long it takes to deliver the images to a node. It uploads them first unless references are given.
func (p *trial) deliver(ctx context.Context, scenario, node string, references []string) ([]string, error) {
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
	if uploaded > 0 {
		p.results.add(sample{p.subject.Name, scenario, p.method.Name, "upload", p.round, uploaded.Seconds()})
	}
	return references, err
}

// run measures the time from the start of the delivery until a pod runs. If the method delivers on demand, prepare first undoes
// the last delivery, and the pod then causes a new one. Otherwise, run adds the time of the last measured delivery.
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

// measure records how long action takes.
func (p *trial) measure(ctx context.Context, scenario, figure string, action func() error) error {
	if err := errors.Join(p.warm(ctx, p.subject.references(p.method)), p.settle(ctx)); err != nil {
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
	p.say("  %-20s %-15s %-9s %8.2f s", p.method.Name, scenario, figure, seconds)
	p.results.add(sample{p.subject.Name, scenario, p.method.Name, figure, p.round, seconds})
	return nil
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
