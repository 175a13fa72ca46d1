package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http/httpproxy"

	"kind-local-registry/internal/host/engine"
	"kind-local-registry/internal/host/node"
	"kind-local-registry/internal/host/report"
	"kind-local-registry/internal/host/step"
)

func TestDiskState_NeedsBytesAndInodes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		free, inodes, all uint64
		want              bool
	}{
		"enough":                       {free: 2 << 30, inodes: 50, all: 100, want: true},
		"no fixed number of inodes":    {free: 2 << 30, want: true},
		"less than a large layer":      {free: minFree - 1, inodes: 50, all: 100},
		"less than a percent of nodes": {free: 2 << 30, inodes: 9, all: 1000},
	} {
		state := diskState("/var/lib/docker", test.free, test.inodes, test.all)
		if state.OK != test.want || !strings.Contains(state.Detail, "/var/lib/docker") || (state.Remedy == "") != test.want {
			t.Errorf("%s: %+v, want OK %t, the directory, and a remedy if it is not OK", name, state, test.want)
		}
	}
}

func TestProxyState_FindsRequestsThatGoToAProxy(t *testing.T) {
	t.Parallel()
	settings := &httpproxy.Config{HTTPSProxy: "http://me:secret@proxy.example:3128", NoProxy: "10.0.0.0/8"}
	for target, want := range map[string]bool{
		"https://127.0.0.1:6443": true, "https://localhost:6443": true, "https://10.1.2.3:6443": true, "https://192.0.2.7:6443": false,
	} {
		state, err := proxyState(settings, target)
		if err != nil || state.OK != want {
			t.Errorf("%s: %+v, %v; want OK %t", target, state, err, want)
		}
		if strings.Contains(state.Detail, "secret") {
			t.Errorf("%s: %q contains the proxy's password", target, state.Detail)
		}
	}
}

func TestSkewed_AllowsAMinute(t *testing.T) {
	t.Parallel()
	for behind, want := range map[time.Duration]string{
		0: "", maxSkew: "", -maxSkew: "",
		2 * time.Minute:  "the clock of node a is 2m0s behind the host's",
		-5 * time.Minute: "the clock of node a is 5m0s ahead of the host's",
	} {
		if got := skewed("node a", behind); got != want {
			t.Errorf("skewed(%s) = %q, want %q", behind, got, want)
		}
	}
}

func TestDescribeDocker_TellsWhatIsUnusual(t *testing.T) {
	t.Parallel()
	got := describeDocker(engine.About{Version: "29.1.0", Driver: "overlay2", LiveRestore: true, HTTPProxy: "http://me:secret@proxy"})
	if want := "Docker 29.1.0, overlay2, live-restore, pulls through a proxy"; got != want {
		t.Errorf("describeDocker = %q, want %q", got, want)
	}
}

func TestEach_NamesEveryNodeThatIsBroken(t *testing.T) {
	t.Parallel()
	n := nodes{Parts{Nodes: node.Nodes{List: func() ([]node.Node, error) {
		return []node.Node{{Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "d"}}, nil
	}}}}
	state, err := n.each(func(_ context.Context, one node.Node) (string, error) {
		switch one.Name {
		case "a":
			return "", nil
		case "d":
			return "", step.Remedy(fmt.Errorf("node d: %w", node.ErrMirrors), "remove them")
		}
		return one.Name + " is broken", nil
	}, "mend it", "fine")(t.Context())
	want := "b is broken; c is broken; node d: " + node.ErrMirrors.Error()
	if err != nil || state.OK || state.Detail != want || state.Remedy != "mend it; remove them" {
		t.Errorf("each = %+v, %v; want %q", state, err, want)
	}
}

func TestWithoutDocker_FindsOnlyDocker(t *testing.T) {
	t.Parallel()
	found, err := Diagnose(t.Context(), WithoutDocker(errors.New("docker does not answer")), func(string) {})
	if err != nil || len(found.Broken()) != 1 || found.Broken()[0].Check != nameDocker {
		t.Fatalf("Diagnose = %+v, %v; want only Docker to be broken", found.Broken(), err)
	}
	for _, finding := range found.Findings[1:] {
		if finding.Outcome != report.NotChecked || finding.Because != nameDocker {
			t.Errorf("%s: %s because of %q, want not checked because of Docker", finding.Check, finding.Outcome, finding.Because)
		}
	}
}

// A check that depends on a later or unknown check would never be suppressed.
func TestChain_DependsOnlyOnEarlierChecks(t *testing.T) {
	t.Parallel()
	earlier := map[string]bool{}
	for _, check := range WithoutDocker(nil) {
		for _, name := range check.After {
			if !earlier[name] {
				t.Errorf("%s comes after %q, which is no earlier check", check.Name, name)
			}
		}
		if earlier[check.Name] || check.Why == "" || check.Probe == nil {
			t.Errorf("%s: the name is used twice, or there is no Why or Probe", check.Name)
		}
		earlier[check.Name] = true
	}
}

func TestChain_IsDocumentedCheckByCheck(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, check := range WithoutDocker(nil) {
		if !strings.Contains(string(page), "| `"+check.Name+"`") {
			t.Errorf("docs/troubleshooting.md does not list the link %q", check.Name)
		}
	}
}
