package kindcli

import (
	"slices"
	"strings"
	"testing"
)

func TestParse_KnowsCommandsWithFlagsAnywhere(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"load docker-image a b":              "a b",
		"load docker-image a -n dev b":       "a b",
		"-q load --verbosity 3 docker-image": "",
		"load docker-image -- -a":            "-a",
	} {
		called, known := parse(strings.Fields(line))
		if !known || !called.is("load", "docker-image") || !slices.Equal(called.args(), strings.Fields(want)) {
			t.Errorf("parse(%q) is not known as kind load docker-image with the images %q", line, want)
		}
	}
}

func TestParse_RejectsHelpAndUnknownFlags(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"load docker-image --help", "load docker-image -h", "create cluster --new", "loads x", "--version=x"} {
		if _, known := parse(strings.Fields(line)); known {
			t.Errorf("parse(%q) is known, want it passed on", line)
		}
	}
}

func TestClusterName_FollowsKindsOrder(t *testing.T) {
	for _, test := range []struct{ line, exported, config, want string }{
		{"create cluster", "", "", "kind"},
		{"create cluster", "", "name: configured\nkind: Cluster\n", "configured"},
		{"create cluster", "", "{", "kind"},
		{"create cluster", "exported", "name: configured\n", "exported"},
		{"create cluster --name=chosen", "exported", "name: configured\n", "chosen"},
		{"load docker-image a", "exported", "", "exported"},
		{"load docker-image a -n kind", "exported", "", "kind"},
	} {
		t.Setenv("KIND_CLUSTER_NAME", test.exported)
		called, known := parse(strings.Fields(test.line))
		if !known {
			t.Fatalf("parse(%q) is not known", test.line)
		}
		if got := called.clusterName(configName([]byte(test.config))); got != test.want {
			t.Errorf("clusterName of %+v = %q, want %q", test, got, test.want)
		}
	}
}

func TestLoadArgs_KeepFlags(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"docker-image", "image-archive"} {
		called, known := parse(strings.Fields("load " + command + " a b -q -v 1 --name dev --nodes x --nodes y,z"))
		if !known {
			t.Fatal("the command is not known")
		}
		want := "load " + command + " b --name dev --verbosity 1 --nodes x,y,z --quiet"
		if got := strings.Join(called.loadArgs([]string{"b"}), " "); got != want {
			t.Errorf("loadArgs = %q, want %q", got, want)
		}
	}
}
