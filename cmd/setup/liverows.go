package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/docker/go-units"

	"kind-local-registry/internal/host/report"
	"kind-local-registry/internal/host/step"
	"kind-local-registry/internal/rewrite"
	"kind-local-registry/webhook/livepod"
)

// rows returns the labels and texts about the image field with the given index. A text is "" if there is nothing to tell.
func (b liveBlock) rows(i int) [][2]string {
	image := &b.pods[0].Images[i]
	return [][2]string{
		{"original", image.Original},
		{runsLabel(image), runs(image)},
		{"admitted", b.admitted(i)},
		{"pull", pulls(image)},
		{"layers", layers(image)},
		{"host", hostHas(image)},
		{"do", image.Remedy},
	}
}

// runsLabel returns the tense in which the container runs its image.
func runsLabel(image *report.LiveImage) string {
	switch livepod.State(image.State) {
	case livepod.Running:
		return "runs"
	case livepod.Ended:
		return "ran"
	}
	return "to run"
}

// runs describes what the container runs.
func runs(image *report.LiveImage) string {
	text := "the original image"
	if image.Image != image.Original {
		text = image.Image
	}
	if image.Digest != "" && !strings.Contains(image.Image, "@") {
		text += "@" + image.Digest
	}
	if text = shortDigest(text); image.Image == image.Original {
		text = strings.Replace(text, "image@", "image, ", 1)
	}
	if image.Waiting != "" {
		text += " (" + image.Waiting + ")"
	}
	return text
}

// admitted describes the decision when the pod was created.
func (b liveBlock) admitted(i int) string {
	logged := b.pods[0].Images[i].Admission
	if logged == nil {
		return "unknown: " + b.pods[0].Images[i].Unlogged
	}
	text := b.since(func(pod *report.ExplainedPod) string { return pod.Images[i].Admission.Time })
	if b.replicas > 1 && len(b.pods) == 1 {
		text += " by " + logged.Replica
	}
	return text + ", " + explainReason(logged.Reason, logged.Detail)
}

// pulls describes why the kubelet cannot use the image.
func pulls(image *report.LiveImage) string {
	if image.Pull == nil {
		return ""
	}
	return image.Pull.Reason + ": " + image.Pull.Message
}

// layers describes how far linking has got on the pod's node.
func layers(image *report.LiveImage) string {
	switch node := image.Layers; {
	case node == nil:
		return ""
	case node.Unlinkable != "":
		return fmt.Sprintf("%s pulls them: %s: %s", node.Name, node.Unlinkable, node.Detail)
	default:
		return fmt.Sprintf("%s has %d of %s", node.Name, node.Present, step.Count(node.Layers, "layer"))
	}
}

// hostHas describes what the host has under the original image's name, compared with what the container runs.
func hostHas(image *report.LiveImage) string {
	if image.Now == nil {
		return ""
	}
	why := whyNow(image)
	switch livepod.Build(image.Build) {
	case livepod.Current:
		return "has the same build"
	case livepod.Newer:
		return "has a newer build, " + whereNewer(image, why)
	case livepod.Pushing:
		return "has the same build, and pushes it to the registry"
	case livepod.NotUsed:
		return "has the image, " + whyNotUsed(image, why)
	case livepod.Absent:
		if image.Image != image.Original && image.Now.Reason == string(rewrite.NotOnHost) {
			return "no longer has the image"
		}
	}
	return why
}

// whyNow explains the decision now. It is short if the decision at admission was the same, because that line explains it.
func whyNow(image *report.LiveImage) string {
	if then := image.Admission; then != nil && then.Reason == image.Now.Reason && then.Detail == image.Now.Detail {
		return "still " + image.Now.Reason
	}
	return explainReason(image.Now.Reason, image.Now.Detail)
}

// whyNotUsed tells what would become of the host's image in a pod created now.
func whyNotUsed(image *report.LiveImage, why string) string {
	switch {
	case admittedFor(image) == rewrite.LoopGuard:
		return "but the pods of this owner keep their original images for an hour"
	case admittedFor(image) == rewrite.NoSpace && image.Now.Rewritten != "":
		return "so once the disk has space, a new pod would run " + shortDigest(image.Now.Rewritten)
	case image.Now.Rewritten != "":
		return "so a pod created now would run " + shortDigest(image.Now.Rewritten)
	}
	return "but a pod created now would not run it: " + why
}

// whereNewer tells where the host's newer build is. why explains the decision now.
func whereNewer(image *report.LiveImage, why string) string {
	switch {
	case image.Now.Rewritten == "":
		return "but a pod created now would not run it: " + why
	case image.Now.Digest == "":
		return "which is pushed when a pod needs it"
	}
	return "which the registry has: " + shortDigest("@" + image.Now.Digest)[1:]
}

// humanAge formats an age in words, such as 4 minutes.
func humanAge(age time.Duration) string { return strings.ToLower(units.HumanDuration(max(age, 0))) }
