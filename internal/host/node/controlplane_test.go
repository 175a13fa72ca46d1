package node

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kind-local-registry/internal/host/step"
)

// The pods of a control plane before and after the kubelet replaces etcd, as crictl prints them.
const (
	oldEtcd   = `{"id":"e1","state":"SANDBOX_%s","createdAt":"101","labels":{"component":"etcd","tier":"control-plane"}}`
	newEtcd   = `{"id":"e2","state":"SANDBOX_READY","createdAt":"102","labels":{"component":"etcd","tier":"control-plane"}}`
	apiServer = `{"id":"a1","state":"SANDBOX_READY","createdAt":"101","labels":{"component":"kube-apiserver","tier":"control-plane"}}`
	other     = `{"id":"o1","state":"SANDBOX_NOTREADY","createdAt":"103","labels":{"component":"etcd"}}`
)

// moment is what the commands on a control plane print when setup looks at it.
type moment struct{ pods, containers, status string }

func (m moment) write(t *testing.T, r root, number int) {
	t.Helper()
	r.write(t, fmt.Sprintf("/run/%d.pods", number), `{"items":[`+m.pods+`]}`)
	r.write(t, fmt.Sprintf("/run/%d.ps", number), `{"containers":[`+m.containers+`]}`)
	r.write(t, fmt.Sprintf("/run/%d.status", number), `"`+m.status+`"`)
}

// running lists containers that run in the sandboxes.
func running(sandboxes ...string) string {
	var all []string
	for _, sandbox := range sandboxes {
		all = append(all, fmt.Sprintf(`{"podSandboxId":%q,"state":"CONTAINER_RUNNING"}`, sandbox))
	}
	return strings.Join(all, ",")
}

// replacement is what setup sees after containerd 1.7 was restarted and lost etcd's sandbox.
var replacement = []moment{
	{fmt.Sprintf(oldEtcd, "NOTREADY") + "," + apiServer + "," + other, running("e1", "a1"), "200"},
	{newEtcd + "," + fmt.Sprintf(oldEtcd, "NOTREADY") + "," + apiServer, running("a1"), "000"},
	{newEtcd + "," + apiServer, running("e2", "a1"), "500"},
	{newEtcd + "," + apiServer, running("e2", "a1"), "200"},
}

// waits are the lines with which setup reports replacement.
var waits = []string{
	"n: waiting for the control plane: etcd does not run",
	"n: waiting for the control plane: the API server is not ready (status 500)",
}

// newControlPlane returns a control plane whose commands print one moment after the other. The last one remains.
func newControlPlane(t *testing.T, containerdConfig string, moments ...moment) root {
	t.Helper()
	r := newRoot(t, containerdConfig)
	r.write(t, apiServerManifest, "kind: Pod\n")
	r.write(t, "/run/start", "0")
	r.write(t, "/run/now", "0")
	for i, m := range moments {
		m.write(t, r, i+1)
	}
	r.write(t, "/bin/systemctl", `#!/bin/sh
case "$*" in
*InvocationID*) cat "$ROOT/run/start" ;;
show*) ;;
"restart containerd")
	echo "$*" >>"$ROOT/run/systemctl"
	cp "$ROOT`+ContainerdConfig+`" "$ROOT/run/config.toml"
	date +%N >"$ROOT/run/start"
	;;
esac
`)
	r.write(t, "/bin/crictl", `#!/bin/sh
now=$(cat "$ROOT/run/now")
if [ "$1" = pods ] && [ -e "$ROOT/run/$((now + 1)).pods" ]; then
	now=$((now + 1))
	echo "$now" >"$ROOT/run/now"
fi
cat "$ROOT/run/$now.$1"
`)
	r.write(t, "/bin/curl", "#!/bin/sh\ncat \"$ROOT/run/$(cat \"$ROOT/run/now\").status\"\n")
	r.makeExecutable(t, "systemctl", "crictl", "curl")
	return r
}

// steps returns the step for the node n.
func (r root) step() step.Step {
	return Nodes{RegistryHost: registryHost, List: func() ([]Node, error) { return []Node{{Name: "n", Runner: r}}, nil }}.Step()
}

// moment returns the number of the last moment that setup saw.
func (r root) moment(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(r.filesBelow(t, "run")["/run/now"])
}

func TestNodes_WaitForControlPlaneAfterRestart(t *testing.T) {
	t.Parallel()
	r := newControlPlane(t, readsNothing, replacement...)
	var lines []string
	if err := r.step().Apply(t.Context(), func(line string) { lines = append(lines, line) }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(append([]string{"n"}, waits...), lines); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	if got := r.moment(t); got != "4" || r.restarts(t) != 1 {
		t.Errorf("Apply restarted containerd %d times and returned at moment %s, want once and 4", r.restarts(t), got)
	}

	r.write(t, "/run/now", "0")
	if _, err := r.step().Undo(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := r.moment(t); got != "4" || r.restarts(t) != 2 {
		t.Errorf("Undo made %d restarts of containerd and returned at moment %s, want 2 and 4", r.restarts(t), got)
	}
}

func TestNodes_WaitOnlyIfControlPlaneWasRestarted(t *testing.T) {
	t.Parallel()
	never := moment{fmt.Sprintf(oldEtcd, "NOTREADY"), "", "000"}
	worker := newControlPlane(t, readsNothing, never)
	worker.remove(t, apiServerManifest)
	for name, r := range map[string]root{"a worker": worker, "containerd is not restarted": newControlPlane(t, readsIt, never)} {
		if err := r.step().Apply(t.Context(), func(string) {}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := r.moment(t); got != "0" {
			t.Errorf("%s: Apply looked at the pods, want it not to", name)
		}
	}
}

func TestNodes_WaitEndsWithContext(t *testing.T) {
	t.Parallel()
	r := newControlPlane(t, readsNothing, replacement[0])
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := r.step().Apply(ctx, func(line string) {
		if strings.Contains(line, "waiting") {
			cancel()
		}
	})
	for _, part := range []string{"after the restart of containerd", "journalctl -u kubelet"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("Apply = %v, want an error with %q", err, part)
		}
	}
}

func TestNode_PlansSayWhetherPodsAreReplaced(t *testing.T) {
	t.Parallel()
	for printed, want := range map[string]string{
		"containerd github.com/containerd/containerd v1.7.1 1677a17964311325ed1c31e2c0a3589ce6d5c30d": "may be replaced",
		"containerd github.com/containerd/containerd 1.7.1+unknown":                                   "may be replaced",
		"containerd github.com/containerd/containerd/v2 v2.3.4 abc":                                   keepsRunning,
		"containerd of another kind":                                                                  "may be replaced",
	} {
		r := newRoot(t, readsNothing)
		r.write(t, "/bin/containerd", "#!/bin/sh\nif [ \"$1\" = --version ]; then echo '"+printed+"'; else echo version = 3; fi\n")
		r.makeExecutable(t, "containerd")
		change, err := Node{Name: "n", Runner: r}.restartContainerd(t.Context())
		if err != nil || !strings.Contains(change.Detail, want) {
			t.Errorf("with %q, the plan says %q (error %v), want %q", printed, change.Detail, err, want)
		}
	}
}
