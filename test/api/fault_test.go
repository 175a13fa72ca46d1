//go:build api

package api

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// The tests in this file stop the shared process, so they are not parallel.

func TestFault_HangingPusherDelaysOnlyTheFirstPod(t *testing.T) {
	other := newHost()
	other.add("hang/app:local", image{hangLookup: true})
	shared.replaceProcess(t, func(p *process) { p.pusher = other })
	ns := newNamespace(t)

	first := pod(ns, "hang/app:local", "hang/app:local")
	if took := timeCreate(t, first); took > 3*time.Second {
		t.Errorf("creating the first pod took %s, want at most 3s, because a lookup times out after 1.5s", took)
	}
	wantImages(t, first, "hang/app:local", "hang/app:local")

	second := pod(ns, "hang/app:local", "registry.invalid/else:1")
	second.Name = "second"
	if took := timeCreate(t, second); took > time.Second {
		t.Errorf("creating the second pod took %s, want at most 1s", took)
	}
	wantImages(t, second, "hang/app:local", "registry.invalid/else:1")
}

func TestFault_FailsOpenWithoutTheProcess(t *testing.T) {
	shared.host.add("down/app:local", image{inRegistry: true})
	if err := shared.stop(); err != nil {
		t.Fatal(err)
	}
	p := pod(newNamespace(t), "down/app:local")
	took := timeCreate(t, p)
	stop, err := startProcess(shared.process())
	if err != nil {
		t.Fatal(err)
	}
	shared.stop = stop

	if took > 2*time.Second {
		t.Errorf("creating a pod without the process took %s, want at most 2s", took)
	}
	wantImages(t, p, "down/app:local")
}

func TestFault_RestoresThePodAtThePushDeadline(t *testing.T) {
	other := newHost()
	other.add("deadline/app:local", image{failures: 1 << 30})
	shared.replaceProcess(t, func(p *process) {
		p.pusher = other
		p.options.PushDeadline = time.Second
	})
	p := create(t, pod(newNamespace(t), "deadline/app:local"))

	eventually(t, p, "ungated", ungated)
	wantImages(t, p, "deadline/app:local")
	wantEvent(t, p, corev1.EventTypeWarning, "ImagePushFailed", "running the original image")
}

func TestFault_NextProcessDeliversTheGatedPod(t *testing.T) {
	unblock := make(chan struct{})
	shared.host.add("restart/app:local", image{unblock: unblock})
	p := create(t, pod(newNamespace(t), "restart/app:local"))
	wantEvent(t, p, corev1.EventTypeNormal, "ImagePushing", "restart/app:local")

	shared.restartProcess(t, shared.process())
	close(unblock)
	eventually(t, p, "ungated", ungated)
	wantImages(t, p, pinned("restart/app:local"))
}

// timeCreate creates the pod and returns how long that took.
func timeCreate(t *testing.T, p *corev1.Pod) time.Duration {
	t.Helper()
	start := time.Now()
	create(t, p)
	return time.Since(start)
}
