package host

import (
	"context"
	"errors"

	"kind-local-registry/internal/host/doctor"
	"kind-local-registry/internal/host/engine"
	"kind-local-registry/internal/host/step"
)

// Diagnose examines the whole chain from Docker to a running pod. begun is called with the name of each check. If Docker cannot be
// used, that is a finding and not an error.
func Diagnose(ctx context.Context, options Options, begun doctor.Begun) (doctor.Report, error) {
	if err := unusable(ctx); err != nil {
		return doctor.Diagnose(ctx, doctor.WithoutDocker(err), begun)
	}
	system, err := Open(ctx, options)
	if err != nil {
		return doctor.Report{}, err
	}
	report, err := doctor.Diagnose(ctx, system.chain(), begun)
	report.Cluster = system.Cluster()
	return report, err
}

// Mend is like Diagnose, and mends what can be mended safely. waiting is called as by OpenToChange.
func Mend(ctx context.Context, options Options, observer step.Observer, waiting func(holder string)) (report doctor.Report, err error) {
	if err := unusable(ctx); err != nil {
		return doctor.Diagnose(ctx, doctor.WithoutDocker(err), observer.Begin)
	}
	system, unlock, err := OpenToChange(ctx, options, waiting)
	if err != nil {
		return doctor.Report{}, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	report, err = doctor.Mend(ctx, system.chain(), observer)
	report.Cluster = system.Cluster()
	return report, err
}

// unusable returns why Docker cannot be used, or nil.
func unusable(ctx context.Context) error {
	_, err := engine.Open(ctx)
	return err
}

// chain returns the checks of this system.
func (s *System) chain() []doctor.Check {
	return doctor.Chain(doctor.Parts{
		Engine: s.engine, Cluster: s.cluster, Registry: s.registry, Pusher: s.pusher, Linker: s.linker, Chart: s.chart, Nodes: s.nodes(),
	})
}
