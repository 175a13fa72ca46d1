package disk

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/inventory"
)

func TestPlan_RemovesWhatNothingUses(t *testing.T) {
	t.Parallel()
	two := []inventory.Image{stored("app:@first", 1), stored("app:local@second", 2)}
	index := stored("app:1@index", 1)
	index.Config, index.Children = "", []digest.Digest{d("child")}
	chart, promised, signature := stored("chart:1@chart", 1), stored("app:@first", 1), stored("app:sig@signature", 1)
	chart.Artifact, promised.Promised, signature.Subject = true, true, d("first")
	for name, test := range map[string]struct {
		world
		want []string
	}{
		"nothing uses them": {world{images: two}, []string{"app@first", "app@second"}},
		"the host's tag refers to one build": {
			world{images: two, host: []HostImage{onHost("second", "app:local")}}, []string{"app@first"},
		},
		"a host's tag in the registry's own name": {
			world{images: two, host: []HostImage{onHost("second", "localhost:5001/app:x")}}, []string{"app@first"},
		},
		"a host's tag of another repository": {
			world{images: two, host: []HostImage{onHost("second", "other:local")}}, []string{"app@first", "app@second"},
		},
		"the host's tag refers to a build that is not pushed": {
			world{images: two, host: []HostImage{onHost("third", "app:local")}}, []string{"app@first", "app@second"},
		},
		"the containerd image store": {
			world{images: two, host: []HostImage{{ID: d("x"), Manifest: d("second"), Names: []string{"app:local"}}}}, []string{"app@first"},
		},
		"the host has pushed it to another name": {
			world{images: two, host: []HostImage{{ID: d("x"), Digests: []digest.Digest{d("first")}, Names: []string{"app:y"}}}},
			[]string{"app@second"},
		},
		"an index, of which the host has an image": {
			world{images: []inventory.Image{index}, host: []HostImage{{ID: d("x"), Manifest: d("child"), Names: []string{"app:1"}}}}, nil,
		},
		"a pod names the digest": {
			world{images: two, uses: []Use{usedBy("localhost:5001/app:local@" + d("first").String())}}, []string{"app@second"},
		},
		"a pod names the tag": {world{images: two, uses: []Use{usedBy("localhost:5001/app:local")}}, []string{"app@first"}},
		"a Deployment names the original image": {
			world{images: two, uses: []Use{usedBy("docker.io/library/app:local")}}, []string{"app@first"},
		},
		"a pod's status names another repository": {
			world{images: two, uses: []Use{usedBy("docker.io/library/x@" + d("first").String())}}, []string{"app@second"},
		},
		"a pod's status names the image ID": {
			world{images: two, uses: []Use{usedBy(d("first config").String())}}, []string{"app@second"},
		},
		"a pod names an image of an index": {
			world{images: []inventory.Image{index}, uses: []Use{usedBy("localhost:5001/app@" + d("child").String())}}, nil,
		},
		"a pod names nonsense":      {world{images: two, uses: []Use{usedBy("No Image"), usedBy("")}}, []string{"app@first", "app@second"}},
		"a chart":                   {world{images: []inventory.Image{chart}}, nil},
		"a promised image":          {world{images: []inventory.Image{promised}}, nil},
		"a signature":               {world{images: []inventory.Image{two[0], signature}}, []string{"app@first", "app@signature"}},
		"a signature of used image": {world{images: []inventory.Image{two[0], signature}, host: []HostImage{onHost("first", "app:z")}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := removals(test.report().plan(test.blobs(), Options{}))
			slices.Sort(got)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("removed images (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPlan_KeepsImagesFromArchivesUnlessAskedTo(t *testing.T) {
	t.Parallel()
	moved, tagged, named := stored("app:@first", 1), stored("app:v1@second", 2), stored("app:v2@third", 3)
	tagged.Archive, named.Archive = true, true
	w := world{images: []inventory.Image{moved, tagged, named}, uses: []Use{usedBy("app:v2")}}
	for archives, want := range map[bool][]string{false: {"app@first"}, true: {"app@first", "app@second"}} {
		got := removals(w.report().plan(w.blobs(), Options{Archives: archives}))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("removed images with Archives %t (-want +got):\n%s", archives, diff)
		}
	}
}

func TestPlan_RemovesFromNodes(t *testing.T) {
	t.Parallel()
	const imported = "docker.io/library/import-2026-01-31@"
	pinned, running := onNode("first", "localhost:5001/app@"), onNode("first", "localhost:5001/app@")
	pinned.Pinned, running.Running = true, true
	limit := int64(5000)
	for name, test := range map[string]struct {
		world
		keep *int64
		want []string
	}{
		"from our registry": {world: world{nodes: []NodeImage{onNode("first", "localhost:5001/app@")}}, want: []string{"n1 first"}},
		"with a tag of our registry": {
			world: world{nodes: []NodeImage{onNode("first", "localhost:5001/app:1", "localhost:5001/app@")}}, want: []string{"n1 first"},
		},
		"left behind by kind load":  {world: world{nodes: []NodeImage{onNode("first", imported)}}, want: []string{"n1 first"}},
		"loaded by kind load":       {world: world{nodes: []NodeImage{onNode("first", "docker.io/library/app:1", imported)}}},
		"of another registry":       {world: world{nodes: []NodeImage{onNode("first", "registry.k8s.io/pause:3.10")}}},
		"of another local registry": {world: world{nodes: []NodeImage{onNode("first", "localhost:5002/app@")}}},
		"of ours and of another":    {world: world{nodes: []NodeImage{onNode("first", "localhost:5001/app@", "docker.io/library/app:1")}}},
		"without a name":            {world: world{nodes: []NodeImage{onNode("first")}}},
		"with only a tag":           {world: world{nodes: []NodeImage{onNode("first", "localhost:5001/app:1")}}},
		"pinned":                    {world: world{nodes: []NodeImage{pinned}}},
		"used by a container":       {world: world{nodes: []NodeImage{running}}},
		"named by the host": {
			world: world{nodes: []NodeImage{onNode("first", "localhost:5001/app@")}, host: []HostImage{onHost("first", "app:2")}},
		},
		"left behind by kind load, named by the host": {
			world: world{nodes: []NodeImage{onNode("first", imported)}, host: []HostImage{onHost("first", "any:2")}},
		},
		"named by a pod": {
			world: world{
				nodes: []NodeImage{onNode("first", "localhost:5001/app@"), onNode("second", "localhost:5001/app@")},
				uses:  []Use{usedBy("localhost:5001/app:1@" + d("first").String())},
			},
			want: []string{"n1 second"},
		},
		"a tag that a pod names": {
			world: world{
				nodes: []NodeImage{onNode("first", "localhost:5001/app:1", "localhost:5001/app@")}, uses: []Use{usedBy("localhost:5001/app:1")},
			},
		},
		"two names, of which a pod names one": {
			world: world{
				nodes: []NodeImage{onNode("first", "localhost:5001/app@", "localhost:5001/b@")},
				uses:  []Use{usedBy("localhost:5001/b@" + d("first").String())},
			},
		},
		"a limit, and the registry still has the image": {
			world: world{images: []inventory.Image{stored("app:@first", 1)}, nodes: []NodeImage{onNode("first", "localhost:5001/app@")}},
			keep:  &limit,
		},
		"a limit, and the registry has removed the image": {
			world: world{nodes: []NodeImage{onNode("first", "localhost:5001/app@"), onNode("second", imported)}},
			keep:  &limit, want: []string{"n1 first"},
		},
		"pods of the cluster are unknown": {
			world: world{nodes: []NodeImage{onNode("first", "localhost:5001/app@")}, clusters: []Cluster{{Name: "c", Unknown: "stopped"}}},
		},
		"the registry is not ours": {
			world: world{foreign: true, nodes: []NodeImage{onNode("first", "localhost:5001/app@")}}, want: []string{"n1 first"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, removals(test.report().plan(test.blobs(), Options{Keep: test.keep}))); diff != "" {
				t.Errorf("removed images (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPlan_KeepsTheMostRecentlyUsedWithinALimit(t *testing.T) {
	t.Parallel()
	w := world{
		images:  []inventory.Image{stored("a:@third", 3), stored("b:@first", 1), stored("c:1@fourth", 0), stored("d:@second", 2)},
		host:    []HostImage{onHost("fourth", "c:1")},
		orphans: 50,
	}
	const all = 1000 + 4*111 + 50
	for keep, want := range map[int64]struct {
		removed []string
		freed   int64
	}{
		all:       {nil, 50},
		all - 50:  {nil, 50},
		all - 51:  {[]string{"b@first"}, 161},
		all - 161: {[]string{"b@first"}, 161},
		all - 162: {[]string{"b@first", "d@second"}, 272},
		0:         {[]string{"b@first", "d@second", "a@third"}, 383},
	} {
		t.Run(fmt.Sprint(keep), func(t *testing.T) {
			t.Parallel()
			plan := w.report().plan(w.blobs(), Options{Keep: &keep})
			if diff := cmp.Diff(want.removed, removals(plan)); diff != "" {
				t.Errorf("removed images (-want +got):\n%s", diff)
			}
			if plan.RegistryBytes != want.freed || plan.RegistryLeft != all-want.freed {
				t.Errorf("%d bytes freed, %d left, want %d and %d", plan.RegistryBytes, plan.RegistryLeft, want.freed, all-want.freed)
			}
		})
	}
}

func TestPlan_DoesNotCountBlobsThatClientsRelyOn(t *testing.T) {
	t.Parallel()
	w := world{
		images:  []inventory.Image{stored("a:@first", 1), stored("b:@second", 2), stored("c:@third", 3)},
		orphans: 50, relied: []digest.Digest{d("orphan"), d("first layer")},
	}
	keep := int64(1000 + 3*111 + 50 - 12) // the first image's manifest and config have 11 bytes
	plan := w.report().plan(w.blobs(), Options{Keep: &keep})
	if diff := cmp.Diff([]string{"a@first", "b@second"}, removals(plan)); diff != "" || plan.RegistryBytes != 11+111 {
		t.Errorf("%d bytes freed, want %d; removed images (-want +got):\n%s", plan.RegistryBytes, 11+111, diff)
	}
}

func TestPlan_RemovesNothingIfPodsAreUnknown(t *testing.T) {
	t.Parallel()
	w := world{
		images: []inventory.Image{stored("app:@first", 1)}, orphans: 50, clusters: []Cluster{{Name: "a"}, {Name: "b", Unknown: "stopped"}},
	}
	plan := w.report().plan(w.blobs(), Options{})
	if !plan.Empty() || !strings.Contains(plan.Blocked, "cluster b use: stopped") {
		t.Errorf("plan = %+v, want nothing to remove, because of cluster b", plan)
	}
}

func TestPlan_RemovesOnlyWhatAnEarlierPlanContains(t *testing.T) {
	t.Parallel()
	before := world{images: []inventory.Image{stored("app:@first", 1)}, nodes: []NodeImage{onNode("first", "localhost:5001/app@")}}
	after := before
	after.images = append(slices.Clone(before.images), stored("app:@second", 2))
	after.nodes = append(slices.Clone(before.nodes), onNode("second", "localhost:5001/app@"))
	confirmed := before.report().plan(before.blobs(), Options{})
	want := []string{"app@first", "n1 first"}
	if diff := cmp.Diff(want, removals(after.report().plan(after.blobs(), Options{Only: &confirmed}))); diff != "" {
		t.Errorf("removed images (-want +got):\n%s", diff)
	}
}

func TestReport_SplitsSizesIntoSharedAndOwn(t *testing.T) {
	t.Parallel()
	w := world{images: []inventory.Image{stored("a:1@first", 1), stored("b:1@first", 1), stored("a:@second", 2)}, orphans: 50}
	r := w.report()
	if want := (Storage{Bytes: 1000 + 2*111 + 50, Unneeded: 50}); *r.Registry != want {
		t.Errorf("storage = %+v, want %+v", *r.Registry, want)
	}
	var got []string
	for _, image := range r.Images {
		got = append(got, fmt.Sprintf("%s %d %d", image.Repository, image.Bytes, image.OwnBytes))
	}
	if diff := cmp.Diff([]string{"a 1111 111", "a 1111 0", "b 1111 0"}, got); diff != "" {
		t.Errorf("sizes (-want +got):\n%s", diff)
	}
}

func TestReport_ListsWhatIsOnlyOnTheHost(t *testing.T) {
	t.Parallel()
	w := world{
		images: []inventory.Image{stored("a:1@first", 1)},
		host: []HostImage{
			onHost("first", "a:1", "b:1"), onHost("second", "c:1"), onHost("third", "kindest/node:v1.37.0", "kind-local-registry/webhook:v1"),
		},
	}
	var got []string
	for _, image := range w.report().Images {
		got = append(got, fmt.Sprintf("%s %v %t %t %d", image.Repository, image.Host, image.InRegistry, image.Used, image.HostBytes))
	}
	want := []string{"a [a:1] true true 5", "b [b:1] false true 5", "c [c:1] false true 5"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	if plan := w.report().plan(w.blobs(), Options{}); !plan.Empty() {
		t.Errorf("plan = %+v, want nothing to remove", plan)
	}
}

func TestParseSize_KnowsDecimalAndBinaryUnits(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"20GB": 20e9, "20 gb": 20e9, "1.5G": 1.5e9, "500MiB": 500 << 20, "2gib": 2 << 30, "7": 7, "0": 0,
	} {
		if got, err := ParseSize(text); got != want || err != nil {
			t.Errorf("ParseSize(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "much", "-1GB", "1XB", "GB", "1 i"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, got)
		}
	}
	for text, want := range map[string]int64{"": 0, "off": 0, "1kB": 1000} {
		if got, err := ParseLimit(text); got != want || err != nil {
			t.Errorf("ParseLimit(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	if _, err := ParseLimit("0"); err == nil {
		t.Error("ParseLimit(0): no error")
	}
}
