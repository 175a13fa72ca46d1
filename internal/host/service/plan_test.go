package service

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/step"
)

// planned returns the changes that undoing the steps would make, and fails the test if they cannot be listed.
func planned(t *testing.T, steps ...step.Step) []step.Change {
	t.Helper()
	plan, err := step.Plan(t.Context(), steps)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// everything returns a host on which setup has started the registry and the pusher, and the steps to undo in setup down.
func everything(t *testing.T, remove bool) (*world, []step.Step) {
	t.Helper()
	w := newWorld(t)
	w.daemon.VolumeSize = 14_500_000_000
	registry := w.openRegistry(t, "")
	registry.mustApply(t)
	pusher := w.openPusher(t, Rules{document: "alwaysPull: Host", chosen: true})
	pusher.mustApply(t)
	for _, reference := range []string{RegistryImage(), WebhookImage(), LinkerImage()} {
		w.daemon.Images[reference] = image.InspectResponse{ID: w.daemon.Images[reference].ID + "-", Size: 31_200_000}
	}
	first := registry.KeepStep()
	if remove {
		first = registry.RemoveStep()
	}
	return w, []step.Step{first, ImagesStep(registry), registry.Step(), pusher.Step(), NewLinker(pusher).Step()}
}

func TestPlan_ListsWhatDownRemovesAndKeeps(t *testing.T) {
	t.Parallel()
	_, steps := everything(t, false)
	want := []step.Change{
		{Action: step.Delete, Kind: step.Container, Name: config.PusherContainer, Detail: "its rules are lost; set them again with setup up --rules FILE"},
		{Action: step.Delete, Kind: step.Volume, Name: config.PusherContainer},
		{Action: step.Delete, Kind: step.Image, Name: WebhookImage(), Bytes: 31_200_000},
		{Action: step.Keep, Kind: step.Container, Name: config.RegistryContainer, Detail: "setup down --registry deletes it"},
		{Action: step.Keep, Kind: step.Volume, Name: config.RegistryContainer, Detail: "the registry's images", Bytes: 14_500_000_000},
	}
	linker := step.Change{Action: step.Delete, Kind: step.Image, Name: LinkerImage(), Bytes: 31_200_000}
	if diff := cmp.Diff(append([]step.Change{linker}, want...), planned(t, steps...)); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

func TestPlan_MarksRegistryImagesAsLoss(t *testing.T) {
	t.Parallel()
	w, steps := everything(t, true)
	w.others = []string{"a", "b"}
	want := []step.Change{
		{Action: step.Keep, Kind: step.Container, Name: config.PusherContainer, Detail: "it serves kind cluster a, b too"},
		{Action: step.Keep, Kind: step.Volume, Name: config.PusherContainer, Detail: "it serves kind cluster a, b too"},
		{Action: step.Delete, Kind: step.Container, Name: config.RegistryContainer},
		{
			Action: step.Delete, Kind: step.Volume, Name: config.RegistryContainer, Bytes: 14_500_000_000, Loss: true,
			Detail: "every image in the registry; it serves kind cluster a, b too",
		},
		{Action: step.Delete, Kind: step.Volume, Name: config.RegistrySocketVolume},
		{Action: step.Delete, Kind: step.Image, Name: RegistryImage(), Bytes: 31_200_000},
	}
	if diff := cmp.Diff(want, planned(t, steps...)); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

// TestPlan_ListsExactlyWhatUndoRemoves compares the plan with the daemon's objects before and after the steps are undone.
func TestPlan_ListsExactlyWhatUndoRemoves(t *testing.T) {
	t.Parallel()
	for _, remove := range []bool{false, true} {
		w, steps := everything(t, remove)
		before := w.objects()
		var deleted, want []string
		for _, change := range planned(t, steps...) {
			if change.Action == step.Delete {
				deleted = append(deleted, string(change.Kind)+" "+change.Name)
			}
		}
		if err := step.Down(t.Context(), steps, unobserved{}); err != nil {
			t.Fatal(err)
		}
		after := w.objects()
		for _, object := range before {
			if !slices.Contains(after, object) {
				want = append(want, object)
			}
		}
		slices.Sort(deleted)
		if diff := cmp.Diff(want, deleted); diff != "" || len(want) == 0 {
			t.Errorf("with the registry: %t: removed objects and planned deletions differ (-removed +planned):\n%s", remove, diff)
		}
		for _, change := range planned(t, steps...) {
			if change.Action != step.Keep {
				t.Errorf("with the registry: %t: after down the plan still lists %+v", remove, change)
			}
		}
	}
}

// objects returns the daemon's containers, volumes and images, sorted.
func (w *world) objects() []string {
	var all []string
	for name := range w.daemon.Containers {
		all = append(all, "container "+name)
	}
	for name := range w.daemon.Volumes {
		all = append(all, "volume "+name)
	}
	for name := range w.daemon.Images {
		all = append(all, "image "+name)
	}
	slices.Sort(all)
	return all
}

// unobserved is an Observer that ignores everything.
type unobserved struct{}

func (unobserved) Begin(string)    {}
func (unobserved) Progress(string) {}
func (unobserved) End(step.Result) {}

func TestForeign_ListsWhatAdoptChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	adopted := w.adopted()
	registry := w.openRegistry(t, "")
	foreign := func() []step.Action {
		changes, err := registry.foreign(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var actions []step.Action
		for _, change := range changes {
			if change.Kind != step.Container || change.Name != config.RegistryContainer || change.Back == "" || change.Loss {
				t.Errorf("change %+v, want one of container %s that can be undone", change, config.RegistryContainer)
			}
			actions = append(actions, change.Action)
		}
		return actions
	}
	if got := foreign(); len(got) > 0 {
		t.Errorf("a running registry on the network is changed: %v, want nothing", got)
	}
	adopted.State = &container.State{Status: container.StateExited}
	delete(adopted.NetworkSettings.Networks, "kind")
	if diff := cmp.Diff([]step.Action{step.Start, step.Connect}, foreign()); diff != "" {
		t.Errorf("a stopped registry on another network (-want +got):\n%s", diff)
	}
	registry.mustApply(t)
	if got := foreign(); len(got) > 0 {
		t.Errorf("after Apply it is changed again: %v, want nothing", got)
	}
}

func TestForeign_IsLossForContainersWithOurNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.daemon.AddContainer(config.PusherContainer, nil)
	w.daemon.AddContainer(config.LinkerContainer, nil)
	pusher := w.openPusher(t, Rules{})
	steps := []step.Step{w.openRegistry(t, "").Step(), pusher.Step(), NewLinker(pusher).Step()}
	changes, err := step.Foreign(t.Context(), steps)
	if err != nil || len(changes) != 2 || !changes[0].Loss || !changes[1].Loss {
		t.Errorf("foreign = %+v, %v; want that both containers are lost", changes, err)
	}
	if err := step.Down(t.Context(), steps, unobserved{}); err != nil || len(w.daemon.Containers) != 2 {
		t.Errorf("Down = %v with containers %v, want it to keep both", err, w.daemon.Containers)
	}
	for _, change := range planned(t, steps...) {
		if change.Kind == step.Container && change.Action != step.Keep {
			t.Errorf("the plan lists %+v, want the container kept", change)
		}
	}
}

func TestKeepStep_DisconnectsOnlyWithoutOtherUsers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		connected bool   // by setup
		other     string // another kind cluster
		on        bool   // whether the registry is still on the network afterwards
	}{
		"setup connected it":                  {connected: true},
		"setup did not connect it":            {on: true},
		"another cluster may use it":          {connected: true, other: "other", on: true},
		"only the cluster itself is left":     {connected: true, other: "mine"},
		"another cluster, not our connection": {other: "other", on: true},
	} {
		w := newWorld(t)
		adopted := w.adopted()
		if test.connected {
			delete(adopted.NetworkSettings.Networks, "kind")
		}
		if test.other != "" {
			w.daemon.AddContainer(test.other+"-control-plane", map[string]string{config.ClusterLabel: test.other})
		}
		registry := w.openRegistry(t, "")
		registry.options.Cluster = "mine"
		registry.mustApply(t)
		plan := planned(t, registry.KeepStep())
		if _, err := registry.KeepStep().Undo(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if on := adopted.NetworkSettings.Networks["kind"] != nil; on != test.on {
			t.Errorf("%s: on network kind: %t, want %t", name, on, test.on)
		}
		if len(plan) != 1 || (plan[0].Action == step.Keep) != test.on {
			t.Errorf("%s: plan %+v, want one change that keeps it: %t", name, plan, test.on)
		}
	}
}
