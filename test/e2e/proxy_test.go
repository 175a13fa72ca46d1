//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestProxy_GetsNoRequest sets a proxy in a node's containerd, as kind does if it runs with HTTP_PROXY. The proxy answers nothing, so an
// image arrives only if containerd bypasses the proxy. Another such proxy is set for setup itself.
func TestProxy_GetsNoRequest(t *testing.T) {
	image, rewritten := pushedImage(t, "proxy-pushed")
	hostProxy, hostRequests := blackHole(t)
	for _, variable := range []string{"HTTP_PROXY", "HTTPS_PROXY"} {
		t.Setenv(variable, "http://"+hostProxy)
	}
	proxy, requests := blackHole(t)
	upAfterwards(t)
	setNodeProxy(t, worker, proxy)

	status, err := suite.run(t.Context(), "status", "--cluster", clusterName)
	if want := "sends pulls from kind-registry to the proxy http://" + proxy; err == nil || !strings.Contains(status, want) {
		t.Errorf("setup status: %v, want it to fail with %q:\n%s", err, want, status)
	}
	out, err := backgroundCommand("docker", "exec", worker, "crictl", "pull", rewritten)
	if err == nil || requests.Load() == 0 {
		t.Fatalf("before setup up, a pull of %s: %v, %d requests to the proxy, want it to fail there:\n%s", image, err, requests.Load(), out)
	}

	up(t)
	requests.Store(0)
	for i := range 3 {
		name := fmt.Sprintf("proxy-%d", i)
		createPod(t, name, namespace, onNode(worker, buildImage(t, "e2e/"+name+":local", name, 1)))
		awaitRunning(t, name, time.Minute)
	}
	docker(t, "exec", worker, "crictl", "pull", rewritten)
	mustPush(t, image)
	if out := up(t); !strings.Contains(out, "Nothing to change") {
		t.Errorf("a second setup up prints no \"Nothing to change\":\n%s", out)
	}
	if node, host := requests.Load(), hostRequests.Load(); node+host > 0 {
		t.Errorf("%d requests to the node's proxy and %d to setup's, want none", node, host)
	}
}

// blackHole starts a proxy that closes every connection. It returns the proxy's address for the nodes, and the number of connections.
func blackHole(t *testing.T) (address string, connections *atomic.Int32) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	connections = &atomic.Int32{}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			_ = connection.Close()
		}
	}()
	gateway := docker(t, "exec", worker, "sh", "-c", "ip -4 route show default | cut -d ' ' -f 3")
	if net.ParseIP(gateway) == nil {
		t.Fatalf("the default gateway of node %s is %q, want an address", worker, gateway)
	}
	return fmt.Sprintf("%s:%d", gateway, listener.Addr().(*net.TCPAddr).Port), connections
}

// setNodeProxy sets a proxy in the node's containerd until the test ends, like the entrypoint of kind's nodes.
func setNodeProxy(t *testing.T, node, proxy string) {
	t.Helper()
	const file = "/etc/systemd/system.conf.d/zz-e2e-proxy.conf"
	const reload = "systemctl daemon-reload; systemctl restart containerd"
	settings := fmt.Sprintf(`[Manager]
DefaultEnvironment="HTTP_PROXY=http://%s" "HTTPS_PROXY=http://%s" "NO_PROXY=172.16.0.0/12,.svc"
`, proxy, proxy)
	docker(t, "exec", node, "sh", "-ec", `mkdir -p "$(dirname "$1")"; printf %s "$2" >"$1"; `+reload, "sh", file, settings)
	t.Cleanup(func() {
		if out, err := backgroundCommand("docker", "exec", node, "sh", "-ec", "rm "+file+"; "+reload); err != nil {
			t.Errorf("removing the proxy of node %s: %v\n%s", node, err, out)
		}
	})
}
