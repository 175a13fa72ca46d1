package main

import "kind-local-registry/internal/rewrite"

// reasonText explains a reason to people.
type reasonText struct {
	// meaning is the reason's meaning in the table of docs/reasons.md, without Markdown.
	meaning string
	// advice tells what to do, or is "" if there is nothing to do.
	advice string
}

// reasonTexts explains each reason.
var reasonTexts = map[rewrite.Reason]reasonText{
	rewrite.Rewritten:           {meaning: "the registry has the image, or a promise of it"},
	rewrite.RewrittenPushing:    {meaning: "the host's build is being pushed"},
	rewrite.Kept:                {meaning: "an update names the pod's original image"},
	rewrite.AlreadyLocal:        {"the reference names the registry, which has the image", "to run new builds, use the name that the image has on the host"},
	rewrite.AlreadyLocalPushing: {meaning: "the reference names the registry; the image is being pushed"},
	rewrite.NotOnHost: {
		"Docker has no such image", "if the image should be on the host, build it, or compare its name and tag with docker image ls",
	},
	rewrite.AlwaysUpstream: {
		"Docker pulled the image, and the pod has imagePullPolicy: Always", "to run the host's image, set imagePullPolicy: IfNotPresent",
	},
	rewrite.DigestNotHeld: {"the reference has a digest that the registry lacks", "to run the host's build, use a tag without a digest"},
	rewrite.WrongPlatform: {
		"the image is for a platform that the nodes cannot run", "build it for the nodes' platform, with docker build --platform",
	},
	rewrite.Unservable: {"the image cannot be pushed", "rebuild the image"},
	rewrite.NoSpace: {
		"a disk is full", "free disk space: docker system df shows what uses it, and setup prune removes images that nothing uses",
	},
	rewrite.InvalidReference: {"the reference is not valid", "correct the reference in the manifest"},
	rewrite.Unmappable: {
		"the reference cannot be mapped to the registry", "give the image another name with docker tag, and use it in the manifest",
	},
	rewrite.ExcludedByRule: {
		"a rule excludes the image, its namespace or its pod", "if the image should be rewritten, change the rule; see docs/rules.md",
	},
	rewrite.LoopGuard: {
		"the owner keeps recreating the pod", "exclude the owner's pods with the annotation kind-local-registry/rewrite: \"false\"",
	},
	rewrite.OptedOut: {
		"an annotation or a label opts out", "to have the image rewritten, remove kind-local-registry/rewrite from the pod or the namespace",
	},
	rewrite.MirrorPod: {meaning: "the pod mirrors a static pod"},
	rewrite.LookupUnavailable: {
		"the lookup failed", "run setup status; once lookups succeed, pods that cannot pull are healed",
	},
}

// explainReason returns a reason with its meaning and the detail.
func explainReason(reason, detail string) string {
	text := reason + ": " + reasonTexts[rewrite.Reason(reason)].meaning
	if detail != "" {
		text += ": " + detail
	}
	return text
}
