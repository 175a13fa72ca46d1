//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kind-local-registry/config"
)

const (
	// answerLimit is how long it may take from the end of docker build until the new build answers, with linking.
	answerLimit = 5 * time.Second
	// lastBuildLimit is how long it may take until the last of several builds answers, and a build whose restart was disturbed.
	lastBuildLimit = time.Minute
	// quietTime is longer than the time after which a build no longer belongs to a series of builds, and than the pause between two checks
	// of a workload.
	quietTime = 10 * time.Second
)

// TestRestart_RunsTheNewestBuild switches restart on rebuild on for its subtests, because that takes a rollout of the webhook.
func TestRestart_RunsTheNewestBuild(t *testing.T) {
	switchRestartsOn(t)
	t.Run("within seconds", restartWithinSeconds)
	t.Run("with few restarts for many builds", restartForSeries)
	t.Run("of many workloads in order", restartMany)
	t.Run("although the webhook is killed", restartDespiteKills)
	t.Run("although Docker is restarted", restartDespiteDocker)
}

// switchRestartsOn switches restart on rebuild on until the test ends, and checks that a later setup up keeps the setting.
func switchRestartsOn(t *testing.T) {
	t.Helper()
	if out, err := suite.up(t.Context(), "--restart-on-rebuild"); err != nil {
		t.Fatalf("setup up --restart-on-rebuild: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if out, err := suite.up(context.Background(), "--restart-on-rebuild=false"); err != nil {
			t.Errorf("setup up --restart-on-rebuild=false: %v\n%s", err, out)
		}
	})
	if out := up(t); !strings.Contains(out, "Nothing to change") {
		t.Errorf("setup up without the flag changes the setting:\n%s", out)
	}
}

// firstBuild is the greeting of the build with which each subtest begins.
const firstBuild = "build 0"

// restartable creates a Deployment and a Service of the same name, and waits until the first build answers. The Deployment asks for
// restarts.
func restartable(t *testing.T, name, image string) {
	t.Helper()
	d := deployment(name, image, 2)
	d.Annotations = map[string]string{config.RestartAnnotation: "true"}
	createDeployment(t, d)
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.ServiceSpec{Selector: d.Spec.Selector.MatchLabels, Ports: []corev1.ServicePort{{Port: 8080}}},
	}
	if _, err := suite.kube.CoreV1().Services(namespace).Create(t.Context(), service, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := suite.kube.CoreV1().Services(namespace).Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	awaitAnswer(t, name, firstBuild, lastBuildLimit)
	awaitComplete(t, name)
}

// awaitAnswer waits until the Service answers with the build's greeting, and returns how long it took.
func awaitAnswer(t *testing.T, service, build string, limit time.Duration) time.Duration {
	t.Helper()
	start := time.Now()
	eventually(t, limit, service+" answers with "+build, func(ctx context.Context) string {
		body, err := suite.kube.CoreV1().Services(namespace).ProxyGet("http", service, "8080", "/", nil).DoRaw(ctx)
		if err != nil {
			return err.Error()
		}
		if !strings.HasPrefix(string(body), build+" from") {
			return "it answers " + string(body)
		}
		return ""
	})
	return time.Since(start)
}

// awaitComplete waits until the Deployment's rollout is complete, and returns its revision.
func awaitComplete(t *testing.T, name string) int {
	t.Helper()
	var revision int
	eventually(t, lastBuildLimit, "rollout of "+name, func(ctx context.Context) string {
		d, err := suite.kube.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		status := d.Status
		if status.ObservedGeneration < d.Generation || status.UpdatedReplicas != *d.Spec.Replicas ||
			status.Replicas != *d.Spec.Replicas || status.AvailableReplicas != *d.Spec.Replicas {
			return fmt.Sprintf("%+v", status)
		}
		revision, err = strconv.Atoi(d.Annotations["deployment.kubernetes.io/revision"])
		if err != nil {
			return err.Error()
		}
		return ""
	})
	return revision
}

// wantRevision fails the test unless the Deployment has exactly this revision. A restart is a new revision.
func wantRevision(t *testing.T, name string, want int) {
	t.Helper()
	if got := awaitComplete(t, name); got != want {
		t.Errorf("revision of %s = %d, want %d", name, got, want)
	}
}

// restartWithinSeconds measures the time from the end of docker build until the new build answers. kubectl rollout undo must then work,
// and a Deployment that does not ask for restarts must not be restarted.
func restartWithinSeconds(t *testing.T) {
	const name, silent = "rebuilt", "rebuilt-silent"
	rounds, size := count(2, 20), count(20, 100)
	image := buildImage(t, "e2e/rebuilt:local", firstBuild, size)
	restartable(t, name, image)
	createDeployment(t, deployment(silent, image, 1))
	awaitComplete(t, silent)
	var took []time.Duration
	for round := range rounds {
		if round > 0 {
			time.Sleep(quietTime) // a user does not build as fast as a test
		}
		build := fmt.Sprint("build ", round+1)
		buildImage(t, image, build, size)
		took = append(took, awaitAnswer(t, name, build, lastBuildLimit).Round(10*time.Millisecond))
		wantRevision(t, name, round+2)
	}
	slices.Sort(took)
	t.Logf("%d builds of %d MB: the new build answered after %s (median), %s at most", rounds, size, took[len(took)/2], took[len(took)-1])
	if slowest := took[len(took)-1]; linking() && slowest > answerLimit {
		t.Errorf("the new build answered after %s, want %s at most", slowest, answerLimit)
	}
	wantRevision(t, silent, 1)
	kubectl(t, "rollout", "undo", "deployment/"+name, "--namespace", namespace)
	kubectl(t, "rollout", "status", "deployment/"+name, "--namespace", namespace)
	wantRevision(t, name, rounds+2)
	awaitAnswer(t, name, fmt.Sprint("build ", rounds), lastBuildLimit) // the original image names the newest build
}

// restartForSeries builds an image again and again, as a program does that watches files.
func restartForSeries(t *testing.T) {
	const name = "series"
	image := buildImage(t, "e2e/series:local", firstBuild)
	restartable(t, name, image)
	builds, most := count(4, 50), count(3, 5)
	tick := time.NewTicker(time.Minute / 50)
	defer tick.Stop()
	start := time.Now()
	for build := range builds {
		buildImage(t, image, fmt.Sprint("build ", build+1))
		<-tick.C
	}
	built := time.Since(start).Round(time.Second)
	took := awaitAnswer(t, name, fmt.Sprint("build ", builds), lastBuildLimit)
	restarts := awaitComplete(t, name) - 1
	t.Logf("%d builds in %s made %d restarts; the last build answered %.1f s later", builds, built, restarts, took.Seconds())
	if restarts > most {
		t.Errorf("%d restarts, want %d at most", restarts, most)
	}
}

// restartMany restarts Deployments of one image.
func restartMany(t *testing.T) {
	image := buildImage(t, "e2e/many:local", firstBuild)
	var names []string
	for i := range count(3, 30) {
		name := fmt.Sprintf("many-%02d", i)
		d := deployment(name, image, 2)
		d.Annotations = map[string]string{config.RestartAnnotation: "true"}
		none, one := intstr.FromInt32(0), intstr.FromInt32(1)
		d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxUnavailable: &none, MaxSurge: &one}
		createDeployment(t, d)
		names = append(names, name)
	}
	for _, name := range names {
		awaitComplete(t, name)
	}
	time.Sleep(quietTime) // the new workloads are still checked, each for itself, and such a check may find the build first
	buildImage(t, image, "build 1")
	eventually(t, 3*time.Minute, "all Deployments run the new build", func(ctx context.Context) string {
		return checkRollouts(ctx, t, names)
	})
	var before time.Time
	for _, name := range names {
		wantRevision(t, name, 2)
		d, err := suite.kube.AppsV1().Deployments(namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339, d.Spec.Template.Annotations[config.RestartedAtAnnotation])
		if err != nil || at.Before(before) {
			t.Errorf("%s was restarted at %s (%v), want not before %s", name, at, err, before)
		}
		before = at
	}
}

// checkRollouts returns "" if all Deployments have been restarted. It fails the test if one of them has more or fewer pods than its
// strategy allows.
func checkRollouts(ctx context.Context, t *testing.T, names []string) string {
	t.Helper()
	wanted, err := wantedPods(ctx)
	if err != nil {
		return err.Error()
	}
	list, err := suite.kube.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err.Error()
	}
	left := map[string]bool{}
	for i := range list.Items {
		d := &list.Items[i]
		if !slices.Contains(names, d.Name) {
			continue
		}
		status := d.Status
		if status.AvailableReplicas < 2 || wanted[d.Name] > 3 {
			t.Errorf("%s has %d available pods, and wants %d, want at least 2 of at most 3", d.Name, status.AvailableReplicas, wanted[d.Name])
		}
		if d.Annotations["deployment.kubernetes.io/revision"] != "2" || status.UpdatedReplicas != 2 || status.Replicas != 2 {
			left[d.Name] = true
		}
	}
	if len(left) > 0 {
		return fmt.Sprint("not restarted: ", slices.Sorted(maps.Keys(left)))
	}
	return ""
}

// wantedPods returns how many pods the ReplicaSets of each Deployment want together. Kubernetes limits this number, and not that of the
// pods: a ReplicaSet may delete its pod later than the next one creates another.
func wantedPods(ctx context.Context) (map[string]int32, error) {
	list, err := suite.kube.AppsV1().ReplicaSets(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	wanted := map[string]int32{}
	for i := range list.Items {
		if owner := metav1.GetControllerOf(&list.Items[i]); owner != nil {
			wanted[owner.Name] += *list.Items[i].Spec.Replicas
		}
	}
	return wanted, nil
}
