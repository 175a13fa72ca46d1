package node

import (
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	kubeadmConfig = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nfailSwapOn: false\n"
	withOurPolicy = kubeadmConfig + kubeletMark + "\n" + kubeletPolicy + "\n"
)

// withKubelet gives the node a kubelet with that version and configuration, which answers health checks.
func (r root) withKubelet(t *testing.T, version, config string) {
	t.Helper()
	r.write(t, KubeletConfig, config)
	r.write(t, "/bin/kubelet", "#!/bin/sh\necho 'Kubernetes "+version+"'\n")
	r.write(t, "/bin/curl", "#!/bin/sh\nfor last; do :; done\necho \"$last\" >>\"$ROOT/run/curl\"\n")
	r.makeExecutable(t, "kubelet", "curl")
}

// kubeletConfig returns the kubelet's configuration.
func (r root) kubeletConfig(t *testing.T) string {
	t.Helper()
	return r.filesBelow(t, "var")[KubeletConfig]
}

func TestNode_RestoreUndoesTheKubeletsPolicy(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		version, config string
		want            string // "" for no change
		healthz         string
	}{
		"Kubernetes 1.37": {
			version: "v1.37.2", config: kubeadmConfig, want: withOurPolicy, healthz: "http://localhost:10248/healthz",
		},
		"the first version with the policy": {
			version: "v1.35.0", config: kubeadmConfig + "healthzPort: 1234\n", healthz: "http://localhost:1234/healthz",
			want: kubeadmConfig + "healthzPort: 1234\n" + kubeletMark + "\n" + kubeletPolicy + "\n",
		},
		"no health check": {
			version: "v1.36.1", config: kubeadmConfig + "healthzPort: 0\n",
			want: kubeadmConfig + "healthzPort: 0\n" + kubeletMark + "\n" + kubeletPolicy + "\n",
		},
		"the last version without the policy": {version: "v1.34.9", config: kubeadmConfig},
		"kind 0.20":                           {version: "v1.27.3", config: kubeadmConfig},
		"the user's policy":                   {version: "v1.37.2", config: kubeadmConfig + "imagePullCredentialsVerificationPolicy: AlwaysVerify\n"},
		"the feature is off":                  {version: "v1.37.2", config: kubeadmConfig + "featureGates:\n  KubeletEnsureSecretPulledImages: false\n"},
		"all beta features are off":           {version: "v1.37.2", config: kubeadmConfig + "featureGates: {AllBeta: false}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRoot(t, readsIt)
			r.withKubelet(t, test.version, test.config)
			configureTwice(t, r, 0)
			want, calls, healthz := test.config, "", ""
			if test.want != "" {
				want, calls = test.want, "restart kubelet\n"
			}
			if test.healthz != "" {
				healthz = test.healthz + "\n"
			}
			if diff := cmp.Diff(want, r.kubeletConfig(t)); diff != "" {
				t.Errorf("configuration after Configure (-want +got):\n%s", diff)
			}
			if got := r.filesBelow(t, "run")["/run/curl"]; got != healthz {
				t.Errorf("health checks = %q, want %q", got, healthz)
			}
			restoreTwice(t, r, 0)
			if test.want != "" {
				calls += "stop kubelet\nstart kubelet\n"
			}
			if diff := cmp.Diff(map[string]string{KubeletConfig: test.config}, r.filesBelow(t, "var")); diff != "" {
				t.Errorf("files after Restore (-want +got):\n%s", diff)
			}
			if got := r.systemctl(t); got != calls {
				t.Errorf("calls of systemctl = %q, want %q", got, calls)
			}
		})
	}
}

func TestNode_CheckSaysThatTheKubeletRemembers(t *testing.T) {
	t.Parallel()
	r := newRoot(t, readsIt)
	r.write(t, HostsFile(registryHost), Hosts())
	r.withKubelet(t, "v1.37.2", kubeadmConfig)
	const want = "the kubelet on node n runs delivered images only under their names in the registry"
	if got, err := (Node{Name: "n", Runner: r}).Check(t.Context(), registryHost); got != want || err != nil {
		t.Errorf("Check = %q, %v; want %q", got, err, want)
	}
}

func TestNode_ConfigureKeepsAKubeletThatRejectsThePolicy(t *testing.T) {
	t.Parallel()
	r := newRoot(t, readsIt)
	r.withKubelet(t, "v1.37.2", kubeadmConfig)
	r.write(t, "/bin/curl", "#!/bin/sh\n! grep -q NeverVerify \"$ROOT"+KubeletConfig+"\"\n")
	r.write(t, "/bin/sleep", "#!/bin/sh\n")
	r.makeExecutable(t, "curl", "sleep")
	err := Node{Runner: r}.Configure(t.Context(), registryHost)
	if err == nil || !strings.Contains(err.Error(), "journalctl -u kubelet") {
		t.Errorf("Configure = %v, want an error that says where the kubelet's log is", err)
	}
	if diff := cmp.Diff(map[string]string{KubeletConfig: kubeadmConfig}, r.filesBelow(t, "var")); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if got, want := r.systemctl(t), strings.Repeat("restart kubelet\n", 2); got != want {
		t.Errorf("calls of systemctl = %q, want %q", got, want)
	}
}

func TestNode_RestoreRemovesTheRegistryFromRecords(t *testing.T) {
	t.Parallel()
	r := newRoot(t, readsIt)
	r.withKubelet(t, "v1.37.2", withOurPolicy)
	const (
		head = `{"apiVersion":"kubelet.config.k8s.io/v1beta1","credentialMapping":{`
		tail = `},"imageRef":"sha256:1","kind":"ImagePulledRecord","lastUpdatedTime":"2026-01-01T00:00:00Z"}`
		anyP = `{"nodePodsAccessible":true}`
		auth = `{"kubernetesSecrets":[{"credentialHash":"h","name":"n","namespace":"ns","uid":"u"}]}`
	)
	pulled, pulling := path.Join(imageRecords, "pulled"), path.Join(imageRecords, "pulling")
	for file, content := range map[string]string{
		pulled + "/sha256-0":      head + `"localhost:5001/a":` + anyP + `,"localhost:5001/b":` + anyP + tail + "\n",
		pulled + "/sha256-1":      head + `"docker.io/library/a":` + auth + `,"localhost:5001/a":` + anyP + tail,
		pulled + "/sha256-2":      head + `"registry.example/localhost":` + anyP + tail + "\n",
		pulled + "/sha256-3":      head + `"localhost:50010/a":` + anyP + tail,
		pulled + "/sha256-4.tmp":  head + `"localhost:5001/a":{"nodePo`,
		pulling + "/sha256-5":     `{"kind":"ImagePullIntent","image":"localhost:5001/a:1"}`,
		pulling + "/sha256-6":     `{"kind":"ImagePullIntent","image":"registry.example/a:1"}`,
		path.Dir(pulled) + "/any": "not a record",
	} {
		r.write(t, file, content)
	}
	want := r.filesBelow(t, "var")
	delete(want, pulled+"/sha256-0")
	delete(want, pulling+"/sha256-5")
	want[pulled+"/sha256-1"] = head + `"docker.io/library/a":` + auth + tail
	want[KubeletConfig] = kubeadmConfig

	restoreTwice(t, r, 0)

	if diff := cmp.Diff(want, r.filesBelow(t, "var")); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if got, want := r.systemctl(t), "stop kubelet\nstart kubelet\n"; got != want {
		t.Errorf("calls of systemctl = %q, want %q", got, want)
	}
}

func TestNode_RestoreStartsTheKubeletAfterAFailure(t *testing.T) {
	t.Parallel()
	r := newRoot(t, readsIt)
	r.withKubelet(t, "v1.37.2", withOurPolicy)
	r.write(t, "/bin/mv", "#!/bin/sh\nexit 1\n")
	r.makeExecutable(t, "mv")
	if err := (Node{Runner: r}).Restore(t.Context(), registryHost); err == nil {
		t.Error("Restore succeeds although the configuration cannot be written")
	}
	if got, want := r.systemctl(t), "stop kubelet\nstart kubelet\n"; got != want {
		t.Errorf("calls of systemctl = %q, want %q", got, want)
	}
}
