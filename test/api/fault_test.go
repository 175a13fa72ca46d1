//go:build api

package api

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// The tests of this file stop the process that all share, so they are not parallel.

func TestFault_AHangingPusherCostsOnePodAShortWait(t *testing.T) {
	other := newHost()
	other.have("hang/app:local", image{hang: true})
	shared.replace(t, func(p *process) { p.pusher = other })
	ns := namespace(t)

	first := pod(ns, "hang/app:local", "hang/app:local")
	if took := creating(t, first); took > 3*time.Second {
		t.Errorf("creating the first pod took %s, want little more than 1.5 s", took)
	}
	wantImages(t, first, "hang/app:local", "hang/app:local")

	second := pod(ns, "hang/app:local", "registry.invalid/else:1")
	second.Name = "second"
	if took := creating(t, second); took > time.Second {
		t.Errorf("creating the second pod took %s, want no wait", took)
	}
	wantImages(t, second, "hang/app:local", "registry.invalid/else:1")
}

func TestFault_PodsAreCreatedWithoutTheProcess(t *testing.T) {
	shared.host.have("down/app:local", image{inRegistry: true})
	if err := shared.stop(); err != nil {
		t.Fatal(err)
	}
	p := pod(namespace(t), "down/app:local")
	took := creating(t, p)
	stop, err := serve(shared.process())
	if err != nil {
		t.Fatal(err)
	}
	shared.stop = stop

	if took > 2*time.Second {
		t.Errorf("creating a pod without the process took %s, want no wait", took)
	}
	wantImages(t, p, "down/app:local")
}

func TestFault_APodWaitsNoLongerThanTheDeadline(t *testing.T) {
	other := newHost()
	other.have("deadline/app:local", image{failures: 1 << 30})
	shared.replace(t, func(p *process) {
		p.pusher = other
		p.options.PushDeadline = time.Second
	})
	p := create(t, pod(namespace(t), "deadline/app:local"))

	eventually(t, p, "free", free)
	wantImages(t, p, "deadline/app:local")
	wantEvent(t, p, corev1.EventTypeWarning, "ImagePushFailed", "running the original image")
}

func TestFault_APodIsDeliveredByTheNextProcess(t *testing.T) {
	pushing := make(chan struct{})
	shared.host.have("restart/app:local", image{pushing: pushing})
	p := create(t, pod(namespace(t), "restart/app:local"))
	wantEvent(t, p, corev1.EventTypeNormal, "ImagePushing", "restart/app:local")

	shared.restart(t, shared.process())
	close(pushing)
	eventually(t, p, "free", free)
	wantImages(t, p, pinned("restart/app:local"))
}

// creating creates the pod and returns how long that took.
func creating(t *testing.T, p *corev1.Pod) time.Duration {
	t.Helper()
	start := time.Now()
	create(t, p)
	return time.Since(start)
}
