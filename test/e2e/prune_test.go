//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kind-local-registry/internal/disk"
)

// setupJSON runs setup with -o json, and decodes what it prints into result. The error contains what setup printed to stderr.
func setupJSON(ctx context.Context, result any, args ...string) error {
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, suite.setup, append(args, "-o", "json")...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("setup %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return json.Unmarshal(out, result)
}

// listImages returns the images in one repository.
func listImages(ctx context.Context, t *testing.T, repository string) []disk.Image {
	t.Helper()
	var report disk.Report
	if err := setupJSON(ctx, &report, "images"); err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(report.Images, func(image disk.Image) bool { return image.Repository != repository })
}

// blobs is the directory of the blobs in the registry's volume.
type blobs string

// openBlobs returns the directory of the blobs in the registry's volume.
func openBlobs(t *testing.T) blobs {
	t.Helper()
	volume := docker(t, "volume", "inspect", "--format", "{{.Mountpoint}}", "kind-registry")
	return blobs(filepath.Join(volume, "docker/registry/v2/blobs/sha256"))
}

// bytes returns the total size in bytes of the blobs.
func (b blobs) bytes(t *testing.T) (total int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(string(b), "*/*/data"))
	if err != nil || len(files) == 0 {
		t.Fatalf("the registry's volume has %d blobs (error %v)", len(files), err)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err == nil { // it may have just been removed
			total += info.Size()
		}
	}
	return total
}

// restart creates the pods of a Deployment again, as kubectl rollout restart does.
func restart(t *testing.T, name string, round int) {
	t.Helper()
	patch := fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"%d"}}}}}`, round)
	deployments := suite.kube.AppsV1().Deployments(namespace)
	if _, err := deployments.Patch(t.Context(), name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// awaitStored waits until the registry has that many images in a repository. A promised image arrives later.
func awaitStored(t *testing.T, repository string, want int) {
	t.Helper()
	eventually(t, time.Minute, "the registry has "+repository, func(ctx context.Context) string {
		stored := slices.DeleteFunc(listImages(ctx, t, repository), func(image disk.Image) bool { return !image.InRegistry })
		if len(stored) < want {
			return fmt.Sprintf("%d images", len(stored))
		}
		return ""
	})
}

func TestPrune_RemovesOldBuildsFromRegistryAndNodes(t *testing.T) {
	const name, repository = "two-builds", "e2e/two-builds"
	image := buildImage(t, repository+":local", "first build", 5)
	createDeployment(t, deployment(name, image, 2))
	first := awaitPods(t, name, 2, "")[0].Spec.Containers[0].Image
	awaitStored(t, repository, 1)
	buildImage(t, image, "second build", 5)
	restart(t, name, 1)
	second := awaitPods(t, name, 2, first)[0].Spec.Containers[0].Image
	awaitStored(t, repository, 2)
	_, old, _ := strings.Cut(first, "@")

	var planned disk.Pruned
	if err := setupJSON(t.Context(), &planned, "prune", "--dry-run"); err != nil {
		t.Fatal(err)
	}
	if !plans(planned.Plan, repository, old) || plans(planned.Plan, repository, second[len(second)-len(old):]) {
		t.Errorf("plan = %+v, want the first build of %s", planned.Plan, repository)
	}
	problem := ""
	eventually(t, time.Minute, "the first build is gone", func(ctx context.Context) string {
		out, err := exec.CommandContext(ctx, suite.setup, "prune", "--yes").CombinedOutput()
		if err != nil {
			return fmt.Sprintf("%v: %s", err, out)
		}
		left := listImages(ctx, t, repository)
		if len(left) != 1 || !strings.HasSuffix(second, left[0].Digest.String()) || len(left[0].Nodes) == 0 {
			if now := fmt.Sprintf("%+v", left); now != problem { // the last attempt may be interrupted
				problem = now
				t.Logf("setup prune:\n%s%s", out, problem)
			}
			return problem
		}
		t.Logf("setup prune:\n%s", out)
		return ""
	})
	wantUndisturbed(t, name, second)
	for _, node := range nodeNames(t) {
		if listed := docker(t, "exec", node, "crictl", "images", "--digests", "--no-trunc"); strings.Contains(listed, old) {
			t.Errorf("node %s still has the first build:\n%s", node, listed)
		}
	}
}

// wantUndisturbed fails the test unless the Deployment's pods still run the image, without a restart.
func wantUndisturbed(t *testing.T, name, image string) {
	t.Helper()
	for _, pod := range awaitPods(t, name, 2, "") {
		if pod.Status.ContainerStatuses[0].RestartCount > 0 || pod.Spec.Containers[0].Image != image {
			t.Errorf("pod %s: %s", pod.Name, describe(&pod))
		}
	}
}

// wantKept fails the test unless the pod still runs, without a restart, and the registry serves every layer of its image.
func wantKept(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	now := awaitRunning(t, pod.Name, time.Minute)
	if now.UID != pod.UID || now.Status.ContainerStatuses[0].RestartCount > 0 {
		t.Errorf("pod %s was restarted or replaced: %s", pod.Name, describe(now))
	}
	if problem := inRegistry(t.Context(), pod); problem != "" {
		t.Errorf("pulling %s: %s", pod.Spec.Containers[0].Image, problem)
	}
}

// plans reports whether a plan removes the image from the registry and from nodes.
func plans(plan disk.Plan, repository, digest string) bool {
	var nodes int
	for _, image := range plan.Nodes {
		if slices.Contains(image.References, registry+"/"+repository+"@"+digest) {
			nodes++
		}
	}
	return nodes > 0 && slices.ContainsFunc(plan.Registry, func(image disk.Image) bool {
		return image.Repository == repository && image.Digest.String() == digest
	})
}

// pruneUnused prunes until the registry has only images in use. If the registry has just restarted, it keeps for a minute what was used
// before.
func pruneUnused(t *testing.T) {
	t.Helper()
	eventually(t, 2*time.Minute, "the registry has only images in use", func(ctx context.Context) string {
		var pruned disk.Pruned
		err := setupJSON(ctx, &pruned, "prune", "--yes")
		switch {
		case err != nil:
			return err.Error()
		case pruned.Removed != nil:
			return fmt.Sprintf("prune has removed %+v", *pruned.Removed)
		}
		return ""
	})
}

func TestKeepStorage_IsAppliedInTheBackground(t *testing.T) {
	const repository, megabytes = "e2e/background", 20
	pruneUnused(t) // otherwise, unused images of other tests would be removed before the builds of this one
	stored := openBlobs(t)
	limit := stored.bytes(t)/1_000_000 + 3*megabytes
	upAfterwards(t)
	if out, err := suite.up(t.Context(), "--keep-storage", fmt.Sprintf("%dMB", limit)); err != nil {
		t.Fatalf("setup up --keep-storage: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if out, err := suite.up(context.Background(), "--keep-storage", "off"); err != nil {
			t.Errorf("setup up --keep-storage off: %v\n%s", err, out)
		}
	})
	if out := up(t); !strings.Contains(out, fmt.Sprintf("keeps at most %dMB", limit)) {
		t.Errorf("setup up without --keep-storage does not keep the limit:\n%s", out)
	}
	for build := range 6 {
		image := buildImage(t, repository+":local", fmt.Sprintf("build %d", build), megabytes)
		if out, err := exec.CommandContext(t.Context(), suite.setup, "push", image).CombinedOutput(); err != nil {
			t.Fatalf("setup push: %v\n%s", err, out)
		}
	}
	eventually(t, time.Minute, "the registry is within its limit", func(context.Context) string {
		if bytes := stored.bytes(t); bytes > limit*1_000_000 {
			return fmt.Sprintf("%d bytes", bytes)
		}
		return ""
	})
	images := listImages(t.Context(), t, repository)
	isLast := func(image disk.Image) bool { return slices.Equal(image.Tags, []string{"local"}) }
	if len(images) == 0 || len(images) > 4 || !slices.ContainsFunc(images, isLast) {
		t.Errorf("images = %+v, want the last build, and as many others as the limit allows", images)
	}
}
