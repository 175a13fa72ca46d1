package host

import (
	"context"

	"kind-local-registry/internal/host/service"
	"kind-local-registry/internal/host/step"
)

// Preflight returns an error if setup up would fail after it has already changed something.
func (s *System) Preflight(ctx context.Context) error {
	if err := s.cluster.Preflight(ctx); err != nil {
		return err
	}
	if err := s.cluster.CheckVersions(ctx); err != nil {
		return err
	}
	if err := s.nodes().Preflight(ctx); err != nil {
		return err
	}
	if _, err := s.Rules(); err != nil {
		return err
	}
	if err := s.pusher.CheckLimit(ctx); err != nil {
		return err
	}
	return s.registry.CheckPort(ctx)
}

// Steps returns all steps, in the order that setup up applies them.
func (s *System) Steps() []step.Step {
	return []step.Step{
		s.cluster.VersionsStep(), s.cluster.Step(s.RegistryHost()), service.ImagesStep(s.registry), s.registry.Step(), s.pusher.Step(),
		s.linker.Step(), s.nodes().Step(),
		s.cluster.HostingStep(s.RegistryHost()),
		s.chart.ImageStep(), s.chart.CredentialsStep(), s.chart.Step(), s.chart.AdmissionStep(),
	}
}

// Foreign lists what setup up would change although setup did not create it. In a cluster that setup created, everything is ours.
func (s *System) Foreign(ctx context.Context) ([]step.Change, error) {
	condition, err := s.cluster.Condition(ctx)
	if err != nil {
		return nil, err
	}
	var steps []step.Step
	for _, one := range s.Steps() {
		if !one.InCluster || condition.Exists && !condition.Created {
			steps = append(steps, one)
		}
	}
	return step.Foreign(ctx, steps)
}

// DownOptions are the user's choices for setup down.
type DownOptions struct {
	// Registry means that the registry and its images are removed too.
	Registry bool
	// KeepCluster means that the cluster is kept even if setup created it.
	KeepCluster bool
}

// keptByFlag explains why a cluster that setup created is kept.
const keptByFlag = "--keep-cluster"

// PlanDown returns the steps to undo, and lists what undoing them will delete, restore and keep.
func (s *System) PlanDown(ctx context.Context, options DownOptions) ([]step.Step, []step.Change, error) {
	steps, err := s.StepsDown(ctx, options)
	if err != nil {
		return nil, nil, err
	}
	plan, err := step.Plan(ctx, steps)
	return steps, plan, err
}

// planSilent returns the plan of a step in a cluster that does not answer.
func (s *System) planSilent(name string) func(context.Context) ([]step.Change, error) {
	return func(context.Context) ([]step.Change, error) {
		return []step.Change{{
			Action: step.Try, Kind: step.Parts, Name: name,
			Detail: "kind cluster " + s.Cluster() + " does not answer; if it is stopped, start it with setup up first",
		}}, nil
	}
}

// StepsDown returns the steps to undo. It omits the steps that deleting the cluster undoes, and those in a cluster that does not
// exist.
func (s *System) StepsDown(ctx context.Context, options DownOptions) ([]step.Step, error) {
	condition, err := s.cluster.Condition(ctx)
	if err != nil {
		return nil, err
	}
	steps, keep := []step.Step{s.registryDown(options)}, s.cluster.KeepStep(keptByFlag)
	for _, one := range s.Steps() {
		switch {
		case one.Name == keep.Name && options.KeepCluster:
			one = keep
		case one.InCluster && (!condition.Exists || condition.Created && !options.KeepCluster):
			continue
		case one.InCluster && !condition.Answers && one.Plan != nil:
			one.Plan = s.planSilent(one.Name)
		}
		steps = append(steps, one)
	}
	return steps, nil
}

// registryDown returns the step that keeps or removes the registry.
func (s *System) registryDown(options DownOptions) step.Step {
	if options.Registry {
		return s.registry.RemoveStep()
	}
	return s.registry.KeepStep()
}
