//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestKubectlDebug_RunsTwoHostOnlyImagesInOnePod(t *testing.T) {
	tools := buildImage(t, "e2e/tools:local", "tools")
	other := buildImage(t, "e2e/other-tools:local", "other tools")
	createPod(t, "debugged", namespace, podSpec(buildImage(t, "e2e/debugged:local", "hello")))
	awaitRunning(t, "debugged", time.Minute)

	for _, image := range []string{tools, other} {
		command(t, "kubectl", "--kubeconfig", suite.kubeconfig, "debug", "debugged", "--image", image, "--profile", "general",
			"--", "/hello", "--once")
	}
	eventually(t, time.Minute, "both debug containers exit with 0", func(ctx context.Context) string {
		pod, err := suite.kube.CoreV1().Pods(namespace).Get(ctx, "debugged", metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		for i, image := range []string{tools, other} {
			if got := pod.Spec.EphemeralContainers[i].Image; !strings.HasPrefix(got, registry+"/"+image) {
				t.Fatalf("image of debug container %d = %s, want %s from the registry", i, got, image)
			}
		}
		ended := 0
		for _, status := range pod.Status.EphemeralContainerStatuses {
			if status.State.Terminated != nil && status.State.Terminated.ExitCode == 0 {
				ended++
			}
		}
		if ended != 2 {
			return fmt.Sprintf("%+v", pod.Status.EphemeralContainerStatuses)
		}
		return ""
	})
}

func TestImageVolume_MountsAHostOnlyImage(t *testing.T) {
	app, mounted := buildImage(t, "e2e/mounting:local", "hello"), buildImage(t, "e2e/mounted:local", "mounted")
	spec := mountingSpec(app, mounted)
	spec.Containers[0].Command = []string{"/data/hello"} // the program in the mounted image
	createPod(t, "mounting", namespace, spec)

	pod := awaitRunning(t, "mounting", time.Minute)
	if got := pod.Spec.Volumes[0].Image.Reference; !strings.HasPrefix(got, registry+"/e2e/mounted:local@sha256:") {
		t.Errorf("volume image = %s, want it from the registry, by digest", got)
	}
	if got := proxy(t, "mounting"); !strings.HasPrefix(got, "hello from") {
		t.Errorf("pod answers %q, want \"hello from\" first", got)
	}
}

// mountingSpec returns a pod of the image app that mounts the other image at /data.
func mountingSpec(app, mounted string) corev1.PodSpec {
	spec := podSpec(app)
	spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{
		Reference: mounted, PullPolicy: corev1.PullIfNotPresent,
	}}}}
	spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	return spec
}

// TestControllers_RunHostOnlyImages covers a Job, a CronJob, a StatefulSet and a DaemonSet.
func TestControllers_RunHostOnlyImages(t *testing.T) {
	t.Parallel()
	once := func(spec corev1.PodSpec) corev1.PodSpec {
		spec.Containers[0].Args, spec.RestartPolicy = []string{"--once"}, corev1.RestartPolicyNever
		return spec
	}
	template := func(name string, change func(corev1.PodSpec) corev1.PodSpec) corev1.PodTemplateSpec {
		image := loadImage(t, "e2e/"+name+":local", 1)
		return corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": name}}, Spec: change(podSpec(image)),
		}
	}
	same := func(spec corev1.PodSpec) corev1.PodSpec { return spec }
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name, Namespace: namespace} }
	selector := func(name string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}
	}
	objects := map[string]client.Object{
		"by-job": &batchv1.Job{ObjectMeta: meta("by-job"), Spec: batchv1.JobSpec{Template: template("by-job", once)}},
		"by-cronjob": &batchv1.CronJob{ObjectMeta: meta("by-cronjob"), Spec: batchv1.CronJobSpec{
			Schedule:    "* * * * *",
			JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: template("by-cronjob", once)}},
		}},
		"by-statefulset": &appsv1.StatefulSet{ObjectMeta: meta("by-statefulset"), Spec: appsv1.StatefulSetSpec{
			Selector: selector("by-statefulset"), Template: template("by-statefulset", same),
		}},
		"by-daemonset": &appsv1.DaemonSet{ObjectMeta: meta("by-daemonset"), Spec: appsv1.DaemonSetSpec{
			Selector: selector("by-daemonset"), Template: template("by-daemonset", same),
		}},
	}
	cluster := newClient(t)
	for _, object := range objects {
		if err := cluster.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { // delete the pods, too, before their images are removed
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			_ = cluster.Delete(ctx, object, client.PropagationPolicy(metav1.DeletePropagationForeground))
		})
	}
	for name := range objects {
		eventually(t, 2*time.Minute, "pod "+name+" runs or has succeeded", func(ctx context.Context) string {
			return checkRanFromRegistry(ctx, name)
		})
	}
}

// checkRanFromRegistry returns "" if all pods with the label are running or have succeeded, and the registry served their image
// by digest.
func checkRanFromRegistry(ctx context.Context, label string) string {
	list, err := suite.kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + label})
	if err != nil {
		return err.Error()
	}
	for i := range list.Items {
		pod := &list.Items[i]
		ran := pod.Status.Phase == corev1.PodRunning || pod.Status.Phase == corev1.PodSucceeded
		if !ran || !strings.HasPrefix(pod.Spec.Containers[0].Image, registry+"/e2e/"+label+":local@sha256:") {
			return describe(pod)
		}
	}
	if len(list.Items) == 0 {
		return "no pod"
	}
	return ""
}

// newClient returns a client for all built-in Kubernetes kinds.
func newClient(t *testing.T) client.Client {
	t.Helper()
	created, err := client.New(suite.access, client.Options{Scheme: newScheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func newScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	known := runtime.NewScheme()
	if err := scheme.AddToScheme(known); err != nil {
		t.Fatal(err)
	}
	return known
}
