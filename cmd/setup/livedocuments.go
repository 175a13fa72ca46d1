package main

import (
	"strings"
	"time"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/report"
	"kind-local-registry/internal/link/linkapi"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/webhook/livepod"
)

// newExplainedObjects returns the document of setup explain KIND/NAME.
func newExplainedObjects(cluster string, explained livepod.Explanation) report.ExplainedObjects {
	document := report.ExplainedObjects{
		Cluster: cluster, Webhook: []report.WebhookLog{}, Pods: make([]report.ExplainedPod, 0, len(explained.Pods)),
	}
	for _, replica := range explained.Replicas {
		log := report.WebhookLog{Pod: replica.Pod, Since: inRFC3339(replica.Since)}
		if replica.Err != nil {
			log.Error = replica.Err.Error()
		}
		document.Webhook = append(document.Webhook, log)
	}
	for i := range explained.Pods {
		document.Pods = append(document.Pods, newExplainedPod(&explained.Pods[i]))
	}
	return document
}

// newExplainedPod returns a pod's entry.
func newExplainedPod(explained *livepod.Pod) report.ExplainedPod {
	pod := explained.Pod
	entry := report.ExplainedPod{
		Namespace: pod.Namespace, Name: pod.Name, OwnerKind: explained.Owner.Kind, OwnerName: explained.Owner.Name,
		Created: inRFC3339(pod.CreationTimestamp.Time), Phase: string(pod.Status.Phase), Node: pod.Spec.NodeName,
		Terminating: pod.DeletionTimestamp != nil,
		Gated:       explained.Gated, Progress: explained.Progress,
		Heals: explained.Healed.Times, Healed: inRFC3339(explained.Healed.Last),
		Images: make([]report.LiveImage, 0, len(explained.Images)),
	}
	for i := range explained.Images {
		image := newLiveImage(&explained.Images[i])
		image.Remedy = remedy(&entry, &image)
		entry.Images = append(entry.Images, image)
	}
	return entry
}

// newLiveImage returns an image field's entry, without the remedy.
func newLiveImage(explained *livepod.Image) report.LiveImage {
	entry := report.LiveImage{
		Field: explained.Field.Path, Original: explained.Original, Image: explained.Field.Image, Digest: explained.Digest,
		State: string(explained.State), Waiting: explained.Waiting, Unlogged: explained.Unlogged, Build: string(explained.Build),
	}
	if logged := explained.Admission; logged != nil {
		entry.Admission = &report.Admission{
			Time: inRFC3339(logged.Time), Reason: string(logged.Reason), Detail: logged.Detail, Replica: logged.Replica,
		}
	}
	if pull := explained.Pull; pull != nil {
		entry.Pull = &report.PullFailure{Reason: pull.Reason, Message: strings.Join(strings.Fields(pull.Message), " ")}
	}
	if explained.Now != nil {
		now := newExplainEntry(*explained.Now)
		entry.Now = &report.Now{
			Outcome: now.Outcome, Reason: now.Reason, Detail: now.Detail, Rewritten: now.Rewritten, Digest: now.Digest,
		}
	}
	if explained.Layers != nil {
		layers := newNodeLayers(*explained.Layers)
		entry.Layers = &layers
	}
	return entry
}

// newNodeLayers returns a node's entry.
func newNodeLayers(node linkapi.NodeLayers) report.NodeLayers {
	return report.NodeLayers{
		Name: node.Name, Cluster: node.Cluster, Unlinkable: string(node.Unlinkable), Detail: node.Detail,
		Layers: node.Layers, Present: node.Present,
	}
}

// inRFC3339 formats a time in UTC. It returns "" for the zero time.
func inRFC3339(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// remedy returns what to do about an image, or "" if there is nothing to do.
func remedy(pod *report.ExplainedPod, image *report.LiveImage) string {
	if pod.Terminating {
		return ""
	}
	if livepod.Build(image.Build) == livepod.NotUsed {
		return unusedRemedy(pod, image)
	}
	if image.Pull != nil {
		return pullRemedy(image)
	}
	switch livepod.Build(image.Build) {
	case livepod.Newer:
		if image.Now.Rewritten != "" {
			return recreate(pod)
		}
	case livepod.Pushing:
		if strings.HasPrefix(pod.Progress, "retrying") {
			return "see docker logs " + config.PusherContainer
		}
		return ""
	case livepod.Current:
		return ""
	case livepod.Absent:
		if satisfied(image) {
			return ""
		}
	}
	return adviceAbout(image)
}

// unusedRemedy returns what to do so that a pod runs the image that the host has.
func unusedRemedy(pod *report.ExplainedPod, image *report.LiveImage) string {
	switch reason := admittedFor(image); {
	case reason == rewrite.LoopGuard: // the decision now examines neither the owner nor the disk
		return reasonTexts[reason].advice
	case reason == rewrite.NoSpace:
		return reasonTexts[reason].advice + "; then " + recreate(pod)
	case image.Pull != nil:
		return pullRemedy(image)
	case image.Now.Rewritten != "":
		return recreate(pod)
	}
	return adviceAbout(image)
}

// satisfied reports whether a container has started although the host does not have its image: because the registry keeps the image, or
// because the image never was the host's.
func satisfied(image *report.LiveImage) bool {
	started := image.State == string(livepod.Running) || image.State == string(livepod.Ended)
	return started && (image.Image != image.Original || image.Now.Reason == string(rewrite.NotOnHost))
}

// admittedFor returns the reason of the logged decision, or "" if there is none.
func admittedFor(image *report.LiveImage) rewrite.Reason {
	if image.Admission == nil {
		return ""
	}
	return rewrite.Reason(image.Admission.Reason)
}

// pullRemedy returns what to do about an image that the kubelet cannot use.
func pullRemedy(image *report.LiveImage) string {
	rewritten := image.Image != image.Original
	switch {
	case image.Pull.Reason == "InvalidImageName":
		return reasonTexts[rewrite.InvalidReference].advice
	case rewritten && livepod.Build(image.Build) == livepod.Absent:
		return "build the image again"
	case rewritten:
		return "run setup doctor, which finds what keeps the node from the registry"
	case image.Now != nil && image.Now.Rewritten != "":
		return "wait: the webhook heals the pod within seconds; if it does not, run setup doctor"
	}
	return adviceAbout(image)
}

// adviceAbout returns the advice about the reason of the decision now, or of the logged decision if the host cannot be asked.
func adviceAbout(image *report.LiveImage) string {
	switch {
	case image.Now != nil:
		return reasonTexts[rewrite.Reason(image.Now.Reason)].advice
	case image.Admission != nil:
		return reasonTexts[rewrite.Reason(image.Admission.Reason)].advice
	}
	return ""
}

// recreate returns how to make the pod run the image that a new pod would run.
func recreate(pod *report.ExplainedPod) string {
	in := " -n " + pod.Namespace
	switch pod.OwnerKind {
	case "Deployment", "StatefulSet", "DaemonSet":
		return "kubectl rollout restart " + strings.ToLower(pod.OwnerKind) + "/" + pod.OwnerName + in
	case "CronJob":
		return "wait for the next run, or start one: kubectl create job NAME --from=cronjob/" + pod.OwnerName + in
	case "Job":
		return "delete job/" + pod.OwnerName + " and create it again"
	case "":
		return "delete the pod and create it again, for example with kubectl replace --force -f FILE"
	}
	return "kubectl delete pod/" + pod.Name + in + "; " + pod.OwnerKind + " " + pod.OwnerName + " creates it again"
}
