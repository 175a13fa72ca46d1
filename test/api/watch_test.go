//go:build api

package api

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kind-local-registry/config"
	"kind-local-registry/internal/docker/dockertest"
	"kind-local-registry/internal/pusher"
	"kind-local-registry/internal/pusher/pushertest"
	"kind-local-registry/internal/registry"
	"kind-local-registry/webhook/watch"
)

// pusherServer is a real pusher with a fake Docker daemon. It can be stopped and started again.
type pusherServer struct {
	service     *pusher.Service
	credentials pusher.Credentials

	mu      sync.Mutex
	address string
}

// start starts the server at a new address. stop stops it.
func (p *pusherServer) start(t *testing.T) (stop func()) {
	t.Helper()
	security, err := pusher.ServerTLS(p.credentials.CA, p.credentials.ServerCert, p.credentials.ServerKey)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := pusher.NewServer(p.service, slog.New(slog.DiscardHandler)).Serve(ctx, listener, security); err != nil {
			t.Errorf("Serve = %v, want nil", err)
		}
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.address = listener.Addr().String()
	stop = func() { cancel(); serving.Wait() }
	t.Cleanup(stop)
	return stop
}

// connect returns a client of the server.
func (p *pusherServer) connect(context.Context) (watch.Pusher, error) {
	security, err := pusher.ClientTLS(p.credentials.CA, p.credentials.ClientCert, p.credentials.ClientKey)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return pusher.NewClient(p.address, security), nil
}

// startWatch watches the namespace until the test ends. The first attempt to connect to the cluster fails. await waits for a state.
func startWatch(t *testing.T, from *pusherServer, namespace string) (await func(what string, found func(watch.State) bool)) {
	t.Helper()
	states := make(chan watch.State, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	attempts := 0
	watching.Go(func() {
		watch.Run(ctx, watch.Options{
			RegistryHost: shared.options.RegistryHost, Namespace: namespace, ConnectPusher: from.connect,
			ConnectCluster: func(context.Context) (kubernetes.Interface, error) {
				if attempts++; attempts == 1 {
					return nil, errors.New("no cluster yet")
				}
				return kubernetes.NewForConfig(shared.access)
			},
		}, func(state watch.State) { states <- state })
	})
	t.Cleanup(func() { cancel(); watching.Wait() })
	return func(what string, found func(watch.State) bool) {
		t.Helper()
		var last watch.State
		for limit := time.After(30 * time.Second); ; {
			select {
			case last = <-states:
				if found(last) {
					return
				}
			case <-limit:
				t.Fatalf("not within 30 s: %s; the last state is %+v", what, last)
			}
		}
	}
}

// onlyPod returns a check that the only pod is in the state.
func onlyPod(want watch.PodState) func(watch.State) bool {
	return func(state watch.State) bool { return len(state.Pods) == 1 && state.Pods[0].State == want }
}

func TestWatch_FollowsPodsAndBuildsAcrossLostConnections(t *testing.T) {
	registry.LogTo(io.Discard)
	engine := dockertest.NewEngine(t)
	from := &pusherServer{service: pushertest.NewService(t, engine, shared.options.RegistryHost)}
	var err error
	if from.credentials, err = pusher.NewCredentials(time.Now()); err != nil {
		t.Fatal(err)
	}
	stop := from.start(t)
	first := dockertest.NewImage("first", dockertest.Layer("first"))
	second := dockertest.NewImage("second", dockertest.Layer("second"))
	engine.Tag("docker.io/watch/app:local", first)
	pushed, err := from.service.Push(t.Context(), "watch/app:local", nil)
	if err != nil {
		t.Fatal(err)
	}
	namespace := newNamespace(t)
	await := startWatch(t, from, namespace)
	await("the cluster is away", func(state watch.State) bool { return state.Cluster.Err != nil })
	await("both are connected", func(state watch.State) bool { return state.Cluster.Connected && state.Pusher.Connected })

	p := create(t, pod(namespace, shared.options.RegistryHost+"/watch/app:local@"+pushed.Digest.String()))
	await("the new pod has no node", onlyPod(watch.Pending))
	p.Annotations = map[string]string{config.OriginalsAnnotation: `{"spec.containers{c0}":"watch/app:local"}`}
	if err := shared.Update(t.Context(), p); err != nil { // as if the webhook had rewritten the image
		t.Fatal(err)
	}
	bindAndRun(t, p)
	await("the pod runs the host's build", onlyPod(watch.Running))

	stop()
	await("the pusher is away", func(state watch.State) bool { return !state.Pusher.Connected && state.Pusher.Err != nil })
	engine.Tag("docker.io/watch/app:local", second) // while nothing follows the pusher's events
	from.start(t)
	await("the pod is stale", onlyPod(watch.Stale))

	if _, err := from.service.Push(t.Context(), "watch/app:local", nil); err != nil {
		t.Fatal(err)
	}
	await("the second build is available", func(state watch.State) bool {
		return len(state.Images) == 1 && state.Images[0].Event.Kind == pusher.EventAvailable && onlyPod(watch.Stale)(state)
	})
	if err := shared.Delete(t.Context(), p, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	await("the pod is gone", func(state watch.State) bool { return len(state.Pods) == 0 })
}

// bindAndRun lets the pod run on a node, as the scheduler and a kubelet do.
func bindAndRun(t *testing.T, p *corev1.Pod) {
	t.Helper()
	binding := &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: "node"}}
	if err := shared.SubResource("binding").Create(t.Context(), p, binding); err != nil {
		t.Fatalf("binding the pod: %v", err)
	}
	if err := shared.Get(t.Context(), client.ObjectKeyFromObject(p), p); err != nil {
		t.Fatal(err)
	}
	p.Status.Phase = corev1.PodRunning
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: p.Spec.Containers[0].Name, Image: p.Spec.Containers[0].Image, Ready: true,
		State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
	}}
	if err := shared.Status().Update(t.Context(), p); err != nil {
		t.Fatalf("updating the pod's status: %v", err)
	}
}
