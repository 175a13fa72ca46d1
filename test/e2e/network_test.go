//go:build e2e

package e2e

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/config"
)

// networkVariable is the environment variable with which users choose the network of kind's nodes.
const networkVariable = "KIND_EXPERIMENTAL_DOCKER_NETWORK"

// TestNetwork_OfAnotherNameServesACluster creates a cluster on another network. Until the test ends, the registry and the pusher are on
// that network, and the suite's cluster does not reach them.
func TestNetwork_OfAnotherNameServesACluster(t *testing.T) {
	needFull(t)
	const network, name = "e2e-network", "e2e-network"
	t.Cleanup(func() {
		if out, err := backgroundCommand("docker", "network", "rm", "-f", network); err != nil {
			t.Errorf("removing network %s: %v\n%s", network, err, out)
		}
	})
	upAfterwards(t)
	other := otherCluster(t, name)
	t.Setenv(networkVariable, network) // until the cleanups above run

	wantConverges(t, &other, name, clusterState{"absent", func(*testing.T) {}, true}, 0)
	for _, container := range []string{config.RegistryContainer, config.PusherContainer, name + "-control-plane"} {
		networks := docker(t, "inspect", "--format", "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}", container)
		if !slices.Contains(strings.Fields(networks), network) {
			t.Errorf("networks of %s = %s, want %s among them", container, networks, network)
		}
	}
	mustRun(t, &other, "down", "--cluster", name, "--yes")
	if got := clusters(t); slices.Contains(got, name) {
		t.Errorf("kind clusters after setup down = %q, want no %s", got, name)
	}
}

// TestIPv6_OnlyClusterIsServed creates a cluster without IPv4.
func TestIPv6_OnlyClusterIsServed(t *testing.T) {
	needFull(t)
	needIPv6(t)
	const name = "e2e-ipv6"
	upAfterwards(t)
	other := otherCluster(t, name)
	create := []string{"--cluster", name, "--config", "testdata/ipv6.yaml"}
	begin := time.Now()
	if out, err := other.up(t.Context(), create...); err != nil {
		t.Fatalf("setup up: %v\n%s", err, out)
	}
	t.Logf("cluster %s created in %s", name, time.Since(begin).Round(time.Second))
	if out, err := other.up(t.Context(), create...); err != nil || !strings.Contains(out, "Nothing to change") {
		t.Errorf("a second setup up: %v, want \"Nothing to change\":\n%s", err, out)
	}
	other.do(func() {
		image := buildImage(t, "e2e/ipv6:local", "hello over IPv6", 1)
		createDeployment(t, deployment("ipv6", image, 2))
		for _, pod := range awaitPods(t, "ipv6", 2, "") {
			address, err := netip.ParseAddr(pod.Status.PodIP)
			if err != nil || !address.Is6() || len(pod.Status.PodIPs) != 1 || !pinned(&pod, image) {
				t.Errorf("pod %s has the addresses %v, and runs %s; want one IPv6 address, and the image from the registry, by digest",
					pod.Name, pod.Status.PodIPs, pod.Spec.Containers[0].Image)
			}
		}
		service, err := suite.kube.CoreV1().Services(ours).Get(t.Context(), config.PusherService, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if address, err := netip.ParseAddr(service.Spec.ClusterIP); err != nil || !address.Is6() {
			t.Errorf("Service %s has the address %q, want an IPv6 address", service.Name, service.Spec.ClusterIP)
		}
	})
	mustRun(t, &other, "down", "--cluster", name, "--yes")
}

// needIPv6 skips the test if nodes cannot have IPv6 addresses on this host.
func needIPv6(t *testing.T) {
	t.Helper()
	const probe = "e2e-ipv6-probe"
	out, err := backgroundCommand("docker", "network", "create", "--ipv6", "--subnet", "fd00:e2e::/64", probe)
	if err != nil {
		t.Skipf("SKIP: Docker cannot create a network with IPv6: %s", out)
	}
	if out, err := backgroundCommand("docker", "network", "rm", probe); err != nil {
		t.Errorf("removing network %s: %v\n%s", probe, err, out)
	}
	if enabled := docker(t, "network", "inspect", "--format", "{{.EnableIPv6}}", config.Network); enabled != "true" {
		t.Skipf("SKIP: Docker network %s has no IPv6; it was created without, perhaps by an earlier run", config.Network)
	}
	if out, err := backgroundCommand("docker", "exec", controlPlane, "ip6tables", "-t", "nat", "-S"); err != nil {
		t.Skipf("SKIP: nodes cannot translate IPv6 addresses, as kube-proxy must: %s", out)
	}
}
