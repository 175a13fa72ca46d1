package host

import (
	"context"
	"errors"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/doctor"
	"kind-local-registry/internal/host/engine"
	"kind-local-registry/internal/host/report"
	"kind-local-registry/internal/host/step"
)

// Diagnose examines the whole chain from Docker to a running pod. begun is called with the name of each check. If Docker cannot be
// used, that is a finding and not an error.
func Diagnose(ctx context.Context, options Options, begun doctor.Begun) (report.Doctor, error) {
	if err := unusable(ctx); err != nil {
		return withoutDocker(ctx, err, begun)
	}
	system, err := Open(ctx, options)
	if err != nil {
		return report.Doctor{}, err
	}
	return system.diagnose(ctx, begun)
}

// Mend is like Diagnose, and mends what can be mended safely. waiting is called as by OpenToChange.
func Mend(ctx context.Context, options Options, observer step.Observer, waiting func(holder string)) (found report.Doctor, err error) {
	if err := unusable(ctx); err != nil {
		return withoutDocker(ctx, err, observer.Begin)
	}
	system, unlock, err := OpenToChange(ctx, options, waiting)
	if err != nil {
		return report.Doctor{}, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	found, err = doctor.Mend(ctx, system.chain(), observer)
	found.Facts = system.Facts(ctx)
	return found, err
}

// diagnose examines this system.
func (s *System) diagnose(ctx context.Context, begun doctor.Begun) (report.Doctor, error) {
	found, err := doctor.Diagnose(ctx, s.chain(), begun)
	found.Facts = s.Facts(ctx)
	return found, err
}

// withoutDocker returns what can be found on a host on which Docker cannot be used. fault is the error from opening it.
func withoutDocker(ctx context.Context, fault error, begun doctor.Begun) (report.Doctor, error) {
	found, err := doctor.Diagnose(ctx, doctor.WithoutDocker(fault), begun)
	found.Facts = report.Facts{Setup: config.Version, Cluster: report.Cluster{Nodes: []report.Node{}}}
	return found, err
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
