//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/node"
	"kind-local-registry/internal/host/report"
	"kind-local-registry/internal/pusher"
)

// brokenLink is a link that the test breaks on purpose. docs/troubleshooting.md lists the same links.
type brokenLink struct {
	// check is the name of the check that must find it.
	check string
	// found must be part of what setup doctor says about it.
	found string
	// breakIt breaks the link.
	breakIt func(t *testing.T)
	// mend mends the link. nil means that setup doctor --fix must mend it.
	mend func(t *testing.T)
}

// brokenLinks returns the links by the symptom that the user sees.
func brokenLinks() map[string]brokenLink {
	links := map[string]brokenLink{}
	for _, some := range []map[string]brokenLink{hostLinks(), nodeLinks(), clusterLinks()} {
		for symptom, link := range some {
			links[symptom] = link
		}
	}
	return links
}

// TestDoctor_NamesExactlyTheBrokenLink breaks one link after the other, in a random order, and without E2E_FULL only five of them. setup
// doctor must name it and nothing else, and --fix must mend it if the link has no mend function.
func TestDoctor_NamesExactlyTheBrokenLink(t *testing.T) {
	upAfterwards(t)
	diagnosis, out := diagnose(t)
	if !diagnosis.OK {
		t.Fatalf("setup doctor finds broken links before any is broken:\n%s", out)
	}
	for _, finding := range diagnosis.Findings {
		t.Logf("%-22s %s (%.1f s)", finding.Check, finding.Found, finding.Duration)
	}
	links := brokenLinks()
	for _, symptom := range shuffled(newRandom(t), links)[:count(5, len(links))] {
		link := links[symptom]
		t.Run(symptom, func(t *testing.T) {
			if link.check == "linker" {
				needLinker(t)
			}
			start := time.Now()
			link.breakIt(t)
			diagnosis, out := diagnose(t)
			took := time.Since(start)
			wantOnly(t, diagnosis, link, out)
			if link.mend != nil {
				link.mend(t)
				return
			}
			diagnosis, out = diagnose(t, "--fix")
			want := []report.Repair{{Check: link.check}}
			if diff := cmp.Diff(want, diagnosis.Repairs, cmpopts.IgnoreFields(report.Repair{}, "Found")); diff != "" {
				t.Errorf("repairs (-want +got):\n%s", diff)
			}
			if !diagnosis.OK {
				t.Errorf("setup doctor --fix leaves broken links:\n%s", out)
			}
			t.Logf("found after %s, mended after %s", took.Round(100*time.Millisecond), time.Since(start).Round(100*time.Millisecond))
		})
	}
	if diagnosis, out := diagnose(t); !diagnosis.OK {
		t.Errorf("setup doctor finds broken links after all are mended:\n%s", out)
	}
}

// wantOnly fails the test unless the link is the only broken one.
func wantOnly(t *testing.T, diagnosis report.Doctor, link brokenLink, out string) {
	t.Helper()
	broken := diagnosis.Broken()
	if len(broken) != 1 || broken[0].Check != link.check || !strings.Contains(broken[0].Found, link.found) {
		t.Errorf("setup doctor finds\n%s\nwant only %s, with %q", out, link.check, link.found)
		return
	}
	if got, want := broken[0].Fixable, link.mend == nil; got != want {
		t.Errorf("fixable = %t, want %t", got, want)
	}
	if broken[0].Why == "" || broken[0].Remedy == "" {
		t.Errorf("%+v has no Why or no Remedy", broken[0])
	}
}

// diagnose runs setup doctor and returns its document. The exit status must fit the document.
func diagnose(t *testing.T, args ...string) (report.Doctor, string) {
	t.Helper()
	args = append([]string{"doctor", "--cluster", clusterName, "--kubeconfig", suite.kubeconfig, "-o", "json"}, args...)
	cmd := exec.CommandContext(t.Context(), suite.setup, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var diagnosis report.Doctor
	if decoded := json.Unmarshal(out, &diagnosis); decoded != nil {
		t.Fatalf("setup doctor: %v, %v\n%s%s", err, decoded, out, &stderr)
	}
	if (err == nil) != diagnosis.OK {
		t.Errorf("setup doctor: %v, although ok is %t", err, diagnosis.OK)
	}
	return diagnosis, string(out)
}

// hostLinks are links on the host.
func hostLinks() map[string]brokenLink {
	return map[string]brokenLink{
		"an image of setup was removed from Docker": {
			check: "images", found: config.LinkerImage, breakIt: replaceLinkerImage,
		},
		"the registry is stopped": {
			check: "registry", found: "exited",
			breakIt: func(t *testing.T) { docker(t, "stop", "-t", "0", config.RegistryContainer) },
		},
		"the registry is paused": {
			check: "registry", found: "paused",
			breakIt: func(t *testing.T) { docker(t, "pause", config.RegistryContainer) },
		},
		"the registry is not on the kind network": {
			check: "registry", found: "not on network kind",
			breakIt: func(t *testing.T) { docker(t, "network", "disconnect", "kind", config.RegistryContainer) },
		},
		"another program listens on port 5001 of ::1": {
			check: "localhost", found: "[::1]:5001", breakIt: listenOnIPv6, mend: func(*testing.T) {},
		},
		"the pusher is stopped": {
			check: "pusher", found: "exited",
			breakIt: func(t *testing.T) { docker(t, "stop", "-t", "0", config.PusherContainer) },
		},
		"the linker is stopped": {
			check: "linker", found: "exited",
			breakIt: func(t *testing.T) { docker(t, "stop", "-t", "0", config.LinkerContainer) },
		},
	}
}

// replaceLinkerImage gives the tag of the linker's image to the webhook's image.
func replaceLinkerImage(t *testing.T) {
	version := strings.TrimPrefix(command(t, suite.setup, "--version"), "setup version ")
	docker(t, "tag", config.WebhookImage+":"+version, config.LinkerImage+":"+version)
}

// listenOnIPv6 listens on the registry's port on ::1 until the test ends.
func listenOnIPv6(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "[::1]:5001")
	if err != nil {
		t.Skipf("SKIP: this host has no ::1: %v", err)
	}
	addresses, err := net.DefaultResolver.LookupHost(t.Context(), "localhost")
	if err != nil || !strings.Contains(strings.Join(addresses, " "), "::1") {
		t.Skipf("SKIP: localhost is not ::1 on this host, but %q", addresses)
	}
	t.Cleanup(func() { _ = listener.Close() })
}

const (
	foreignFile = "does not have our /etc/containerd/certs.d/" + registry
	// restartContainerd restarts containerd on a node and waits until it answers.
	restartContainerd = `systemctl daemon-reload; systemctl restart containerd; until crictl info >/dev/null 2>&1; do sleep 0.2; done`
)

// nodeLinks are links on the nodes.
func nodeLinks() map[string]brokenLink {
	hosts := node.HostsFile(registry)
	return map[string]brokenLink{
		"a node has no hosts.toml": {
			check: "hosts.toml", found: "node " + worker, breakIt: runOnWorker("rm " + hosts),
		},
		"a node has another tool's hosts.toml": {
			check: "hosts.toml", found: foreignFile, breakIt: runOnWorker(`echo 'server = "http://192.0.2.1"' >` + hosts),
			mend: func(t *testing.T) { runOnWorker("rm " + hosts)(t); up(t) },
		},
		"containerd on a node does not read hosts.toml": {
			check: "config_path", found: "does not read " + node.CertsDir,
			breakIt: func(t *testing.T) {
				runOnWorker("cp /etc/containerd/config.toml /root/config.toml")(t)
				setForeignConfigPath(t, worker)
				runOnWorker(restartContainerd)(t)
			},
			mend: runOnWorker("cp /root/config.toml /etc/containerd/config.toml; " + restartContainerd),
		},
		"the registry's name is wrong on a node": {
			check: "node names", found: "192.0.2.1", breakIt: runOnWorker("echo 192.0.2.1 " + config.RegistryContainer + " >>/etc/hosts"),
			mend: runOnWorker("grep -v 192.0.2.1 /etc/hosts >/root/hosts; cat /root/hosts >/etc/hosts"),
		},
		"a kubelet runs delivered images only under their names in the registry": {
			check: "kubelet", found: "kubelet on node " + worker, breakIt: runOnWorker("sed -i /kind-local-registry/,+1d " + node.KubeletConfig),
			mend: func(t *testing.T) { up(t) },
		},
		"a node sends packets for pods on another node elsewhere": {
			check: "pod routes", found: "for the pods on " + worker, breakIt: misroute, mend: correctRoute,
		},
		"containerd on a node uses a proxy": {
			check: "node proxy", found: "http://proxy.example:3128",
			breakIt: runOnWorker(`mkdir -p /etc/systemd/system/containerd.service.d
				printf '[Service]\nEnvironment=HTTP_PROXY=http://proxy.example:3128\n' >/etc/systemd/system/containerd.service.d/proxy.conf
				` + restartContainerd),
			mend: runOnWorker("rm /etc/systemd/system/containerd.service.d/proxy.conf; " + restartContainerd),
		},
	}
}

// misroute makes the control plane send packets for the pods on the worker to the default gateway. It first removes kind's network plugin
// from the control plane, because the plugin in this project's node image corrects routes.
func misroute(t *testing.T) {
	t.Helper()
	kubectl(t, "patch", "daemonset", "kindnet", "-n", "kube-system", "-p",
		fmt.Sprintf(`{"spec":{"template":{"spec":{"nodeSelector":{"kubernetes.io/hostname":%q}}}}}`, worker))
	kubectl(t, "wait", "--for=delete", "--timeout=1m", "pod", "-n", "kube-system", "-l", "app=kindnet", "--field-selector", "spec.nodeName="+controlPlane)
	routeToWorker(t, docker(t, "exec", controlPlane, "sh", "-ec", "ip -4 route show default | cut -d ' ' -f 3"))
}

// correctRoute undoes misroute.
func correctRoute(t *testing.T) {
	t.Helper()
	address, _, _ := strings.Cut(addresses(t)[worker], "/")
	routeToWorker(t, address)
	kubectl(t, "patch", "daemonset", "kindnet", "-n", "kube-system", "-p",
		`{"spec":{"template":{"spec":{"nodeSelector":{"kubernetes.io/hostname":null}}}}}`)
	kubectl(t, "rollout", "status", "daemonset/kindnet", "-n", "kube-system", "--timeout=1m")
}

// routeToWorker sets the gateway of the control plane's route to the pods on the worker.
func routeToWorker(t *testing.T, gateway string) {
	t.Helper()
	node, err := suite.kube.CoreV1().Nodes().Get(t.Context(), worker, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	docker(t, "exec", controlPlane, "ip", "route", "replace", node.Spec.PodCIDR, "via", gateway)
}

// runOnWorker returns a function that runs a script on the worker.
func runOnWorker(script string) func(t *testing.T) {
	return func(t *testing.T) {
		t.Helper()
		docker(t, "exec", worker, "sh", "-ec", script)
	}
}

// clusterLinks are links in the cluster.
func clusterLinks() map[string]brokenLink {
	return map[string]brokenLink{
		"other tools do not find the registry": {
			check: "ConfigMap", found: "local-registry-hosting",
			breakIt: byKubectl("delete", "configmap", "local-registry-hosting", "-n", "kube-public"),
		},
		"the pusher's client certificate is wrong": {
			check: "credentials", found: config.PusherSecret, breakIt: changeCredentials,
		},
		"the webhook has no replica": {
			check: "webhook replicas", found: "no replica", breakIt: func(t *testing.T) { scale(t, 0) },
		},
		"the webhook configuration was deleted": {
			check: "webhook configuration", found: "no MutatingWebhookConfiguration", breakIt: deleteWebhookConfiguration,
		},
		"the webhook configuration selects no namespace": {
			check: "webhook configuration", found: "namespaceSelector",
			breakIt: byKubectl("patch", "mutatingwebhookconfiguration", ours, "--type", "json", "-p",
				`[{"op":"replace","path":"/webhooks/0/namespaceSelector","value":{"matchLabels":{"rewrite":"yes"}}}]`),
		},
		"the webhook's Service selects no pod": {
			check: "webhook Service", found: "selector",
			breakIt: byKubectl("patch", "service", ours, "-n", ours, "-p", `{"spec":{"selector":{"other":"yes"}}}`),
		},
		"the webhook cannot reach the pusher": {
			check: "pusher Service", found: "192.0.2.1",
			breakIt: byKubectl("patch", "endpointslice", config.PusherService, "-n", ours, "--type", "json", "-p",
				`[{"op":"replace","path":"/endpoints/0/addresses/0","value":"192.0.2.1"}]`),
		},
		"no node accepts pods": {
			check: "pod", found: "nodes are available",
			breakIt: byKubectl("cordon", controlPlane, worker), mend: byKubectl("uncordon", controlPlane, worker),
		},
	}
}

// changeCredentials changes the Secret with the pusher's client certificate, but keeps it valid. Otherwise, the webhook could not
// connect for up to a minute after the Secret is mended, because the kubelet updates the webhook's files only from time to time.
func changeCredentials(t *testing.T) {
	t.Helper()
	secrets := suite.kube.CoreV1().Secrets(ours)
	secret, err := secrets.Get(t.Context(), config.PusherSecret, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	secret.Data[pusher.CAFile] = append(secret.Data[pusher.CAFile], secret.Data[pusher.CAFile]...)
	if _, err := secrets.Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// deleteWebhookConfiguration deletes the webhook configuration, and waits until no replica of the webhook is available: a replica is ready
// only while the configuration exists.
func deleteWebhookConfiguration(t *testing.T) {
	t.Helper()
	kubectl(t, "delete", "mutatingwebhookconfiguration", ours)
	kubectl(t, "wait", "--for=condition=Available=false", "--timeout=1m", "-n", ours, "deployment/"+ours)
}

// byKubectl returns a function that runs kubectl.
func byKubectl(args ...string) func(t *testing.T) {
	return func(t *testing.T) {
		t.Helper()
		kubectl(t, args...)
	}
}
