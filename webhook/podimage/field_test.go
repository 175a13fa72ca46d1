package podimage_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"

	"kind-local-registry/webhook/podimage"
)

// This test fails if a new Kubernetes version adds a field that names an image. In that case, make the webhook handle the field
// first, and then list it here.
func TestFields_CoverEveryImageOfThePodAPI(t *testing.T) {
	t.Parallel()
	want := []string{
		"containers.image",
		"ephemeralContainers.image",
		"initContainers.image",
		"volumes.image.reference",
		"volumes.rbd.image", // a Ceph disk, not a container image
	}
	got := imagePaths(reflect.TypeFor[corev1.PodSpec](), "", nil)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields in corev1.PodSpec that name an image (-known +found):\n%s", diff)
	}
}

// imagePaths returns the JSON paths of a type's string fields whose names end with image or reference. Each of them may name an
// image.
func imagePaths(of reflect.Type, path string, above []reflect.Type) []string {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice || of.Kind() == reflect.Map {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct || slices.Contains(above, of) {
		return nil
	}
	var paths []string
	for field := range of.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		below := strings.TrimPrefix(path+"."+name, ".")
		if field.Anonymous {
			below = path
		}
		named := strings.HasSuffix(strings.ToLower(name), "image") || strings.HasSuffix(strings.ToLower(name), "reference")
		if field.Type.Kind() == reflect.String && named {
			paths = append(paths, below)
		}
		paths = append(paths, imagePaths(field.Type, below, append(above, of))...)
	}
	return paths
}

func TestFields_ListContainersAndImageVolumes(t *testing.T) {
	t.Parallel()
	pod := &corev1.Pod{Spec: corev1.PodSpec{
		InitContainers: []corev1.Container{{Name: "init", Image: "a"}},
		Containers:     []corev1.Container{{Name: "app", Image: "b", ImagePullPolicy: corev1.PullAlways}},
		Volumes: []corev1.Volume{{Name: "other"}, {Name: "data", VolumeSource: corev1.VolumeSource{
			Image: &corev1.ImageVolumeSource{Reference: "c", PullPolicy: corev1.PullNever},
		}}},
	}}
	want := []podimage.Field{
		{Path: "spec.initContainers{init}", Image: "a"},
		{Path: "spec.containers{app}", Image: "b", PullPolicy: corev1.PullAlways},
		{Path: "spec.volumes{data}", Image: "c", PullPolicy: corev1.PullNever, Final: true},
	}
	got := podimage.Fields(pod)
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(podimage.Field{})); diff != "" {
		t.Fatalf("Fields (-want +got):\n%s", diff)
	}
	volume := got[2]
	if at := volume.ReplaceImage("x").Path; at != "/spec/volumes/1/image/reference" {
		t.Errorf("the volume's reference is replaced at %s", at)
	}
	if at := volume.ReplacePullPolicy("x").Path; at != "/spec/volumes/1/image/pullPolicy" {
		t.Errorf("the volume's pull policy is replaced at %s", at)
	}
}

func TestNewEphemeral_SkipsExistingContainers(t *testing.T) {
	t.Parallel()
	pod := func(names ...string) *corev1.Pod {
		p := &corev1.Pod{}
		for _, name := range names {
			p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, corev1.EphemeralContainer{
				EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: name, Image: "image-of-" + name},
			})
		}
		return p
	}
	got := podimage.NewEphemeral(pod("first", "second", "third"), pod("second"))
	want := []podimage.Field{
		{Path: "spec.ephemeralContainers{first}", Image: "image-of-first", Final: true},
		{Path: "spec.ephemeralContainers{third}", Image: "image-of-third", Final: true},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(podimage.Field{})); diff != "" {
		t.Fatalf("NewEphemeral (-want +got):\n%s", diff)
	}
	if at := got[1].ReplaceImage("x").Path; at != "/spec/ephemeralContainers/2/image" {
		t.Errorf("the third container's image is replaced at %s", at)
	}
}

func TestAlways_FollowsTheAPIServersDefault(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		image  string
		policy corev1.PullPolicy
		want   bool
	}{
		{"nginx", "", true},
		{"nginx:latest", "", true},
		{"reg:5000/nginx", "", true},
		{"nginx:1", "", false},
		{"nginx@sha256:0", "", false},
		{"nginx", corev1.PullIfNotPresent, false},
		{"nginx:1", corev1.PullAlways, true},
		{"nginx", corev1.PullNever, false},
	} {
		if got := (podimage.Field{Image: tt.image, PullPolicy: tt.policy}).Always(); got != tt.want {
			t.Errorf("Always for %q with policy %q = %v, want %v", tt.image, tt.policy, got, tt.want)
		}
	}
}
