//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/report"
)

const (
	// planted is a secret that only its surroundings show to be one.
	planted = "S3cr3tV4lue"
	// plantedSecret is the value of a Secret.
	plantedSecret = "An0therS3cret"
)

// TestExportLogs_ContainsNoSecret plants secrets in every source in which a user's secrets can be, and also looks for the secrets that
// setup itself made.
func TestExportLogs_ContainsNoSecret(t *testing.T) {
	up(t)
	plantOnNode(t)
	plantInCluster(t)
	directory := filepath.Join(t.TempDir(), "logs")
	out := command(t, suite.setup, "export", "logs", directory, "--cluster", clusterName, "--kubeconfig", suite.kubeconfig, "-o", "json")
	var written report.Export
	if err := json.Unmarshal([]byte(out), &written); err != nil {
		t.Fatalf("setup export logs -o json: %v\n%s", err, out)
	}
	missing := slices.DeleteFunc(written.Missing, func(path string) bool { return !linking() && strings.Contains(path, config.LinkerContainer) })
	if len(missing) > 0 {
		t.Errorf("missing files: %q, want none", missing)
	}
	secrets := append(ownSecrets(t), planted, plantedSecret)
	for _, file := range written.Files {
		content, err := os.ReadFile(filepath.Join(directory, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range secrets {
			if at := strings.Index(string(content), secret); at >= 0 {
				t.Errorf("%s contains a secret: …%s", file, content[max(0, at-60):at+4])
			}
		}
	}
	// The planted lines are in the bundle, without their secrets.
	for file, want := range map[string]string{
		"nodes/" + worker + "/containerd.toml": "planted", "nodes/" + worker + "/hosts.txt": "planted.example",
		"nodes/" + worker + "/containerd.log": "planted", "nodes/" + worker + "/kubelet.log": "kubelet", "cluster/events.yaml": "planted",
		"cluster/configmaps.yaml": "planted", "cluster/mutatingwebhookconfigurations.yaml": config.WebhookName, "doctor.json": `"ok": true`,
		"containers/" + config.RegistryContainer + ".json": config.RegistryContainer, "containers/" + config.PusherContainer + ".log": "msg",
	} {
		content, err := os.ReadFile(filepath.Join(directory, file))
		if err != nil || !strings.Contains(string(content), want) {
			t.Errorf("%s: %v, want it to contain %q:\n%.2000s", file, err, want, content)
		}
	}
}

// plantOnNode plants secrets in the worker's configuration and in containerd's log, until the test ends. containerd is not restarted,
// so it does not read them.
func plantOnNode(t *testing.T) {
	t.Helper()
	runOnWorker(`
cp /etc/containerd/config.toml /root/config.toml
printf '\n# planted\n[planted."reg.example".auth]\n  username = "me"\n  password = "` + planted + `"\n' >>/etc/containerd/config.toml
mkdir -p /etc/containerd/certs.d/planted.example /run/systemd/system/containerd.service.d
printf '[host."https://me:` + planted + `@planted.example".header]\n  authorization = "Basic ` + planted + `"\n' \
	>/etc/containerd/certs.d/planted.example/hosts.toml
printf '[Service]\nExecReload=/bin/echo planted: registry_token=` + planted + ` https://me:` + planted + `@planted.example\n' \
	>/run/systemd/system/containerd.service.d/planted.conf
systemctl daemon-reload
systemctl reload containerd`)(t)
	t.Cleanup(func() {
		out, err := backgroundCommand("docker", "exec", worker, "sh", "-ec", `cp /root/config.toml /etc/containerd/config.toml
rm -r /etc/containerd/certs.d/planted.example /run/systemd/system/containerd.service.d
systemctl daemon-reload`)
		if err != nil {
			t.Errorf("removing the planted secrets: %v\n%s", err, out)
		}
	})
}

// plantInCluster plants secrets in objects in our namespace, until the test ends.
func plantInCluster(t *testing.T) {
	t.Helper()
	meta := metav1.ObjectMeta{Name: "planted", Namespace: ours, Annotations: map[string]string{corev1.LastAppliedConfigAnnotation: planted}}
	settings := &corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{"settings": "password: " + planted + "\nother: x\n"}}
	event := &corev1.Event{
		ObjectMeta: meta, InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: "planted", Namespace: ours},
		LastTimestamp: metav1.NewTime(time.Now()),
		Message:       "planted: " + plantedSecret + " pulls with Authorization: Bearer " + planted, Reason: "Planted", Type: corev1.EventTypeNormal,
	}
	secret := &corev1.Secret{ObjectMeta: meta, StringData: map[string]string{"word": plantedSecret}}
	core := suite.kube.CoreV1()
	if _, err := core.ConfigMaps(ours).Create(t.Context(), settings, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := core.Events(ours).Create(t.Context(), event, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := core.Secrets(ours).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		names := []string{"configmap/planted", "event/planted", "secret/planted"}
		out, err := backgroundCommand("kubectl", append([]string{"--kubeconfig", suite.kubeconfig, "delete", "-n", ours}, names...)...)
		if err != nil {
			t.Errorf("deleting the planted objects: %v\n%s", err, out)
		}
	})
}

// ownSecrets returns the token in the webhook's path, and a line of each private key in our namespace.
func ownSecrets(t *testing.T) []string {
	t.Helper()
	list, err := suite.kube.CoreV1().Secrets(ours).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for i := range list.Items {
		for key, value := range list.Items[i].Data {
			switch {
			case key == "token":
				found = append(found, string(value))
			case strings.Contains(string(value), "PRIVATE KEY"):
				found = append(found, strings.Split(string(value), "\n")[1])
			}
		}
	}
	if len(found) < 4 {
		t.Fatalf("%d secrets found in namespace %s, want a token and at least 3 private keys", len(found), ours)
	}
	return found
}
