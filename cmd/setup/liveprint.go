package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"kind-local-registry/internal/host/report"
	"kind-local-registry/internal/host/step"
	"kind-local-registry/webhook/livepod"
)

// printLive prints the document in the chosen format.
func (o *explainOptions) printLive(w io.Writer, document report.ExplainedObjects, empty []livepod.Target) error {
	return o.print(w, document, func() string { return liveText(document, time.Now()) + o.emptyText(empty) })
}

// emptyText tells about objects without pods how to find out what their pods would run.
func (o *explainOptions) emptyText(empty []livepod.Target) string {
	var text strings.Builder
	for _, target := range empty {
		fmt.Fprintf(&text, "%s %s/%s has no pods. To see what they would run:\n  kubectl get %s -n %s -o yaml | setup explain -f -\n",
			target.Kind, o.namespace, target.Name, target, o.namespace)
	}
	return text.String()
}

// liveText returns a block for each pod. Pods of the same object that are in the same state share a block.
func liveText(document report.ExplainedObjects, now time.Time) string {
	blocks := make([]string, 0, len(document.Pods))
	for _, group := range grouped(document.Pods) {
		blocks = append(blocks, liveBlock{pods: group, replicas: len(document.Webhook), now: now}.text())
	}
	return strings.Join(blocks, "\n")
}

// grouped groups the pods that differ only in what liveBlock can tell in one line. The order is that of each group's first pod.
func grouped(pods []report.ExplainedPod) [][]report.ExplainedPod {
	var groups [][]report.ExplainedPod
	places := map[string]int{}
	for i := range pods {
		key := stateKey(&pods[i])
		at, known := places[key]
		if !known {
			at = len(groups)
			places[key] = at
			groups = append(groups, nil)
		}
		groups[at] = append(groups[at], pods[i])
	}
	return groups
}

// stateKey returns a string that is equal for pods that can share a block. A pod without an owner has its own block.
func stateKey(pod *report.ExplainedPod) string {
	key := fmt.Sprintf("%s %s %s %s %t %t %d",
		pod.Namespace, pod.OwnerKind, pod.OwnerName, pod.Phase, pod.Terminating, pod.Gated, pod.Heals)
	if pod.OwnerKind == "" {
		key += " " + pod.Name
	}
	for i := range pod.Images {
		image := &pod.Images[i]
		key += fmt.Sprintf("\n%s %s %s %s %s %s %s %s", image.Field, image.Original, image.Image, image.Digest, image.State, image.Waiting,
			image.Build, image.Unlogged)
		if image.Admission != nil {
			key += " admission " + image.Admission.Reason
		}
		if image.Now != nil {
			key += " now " + image.Now.Reason + " " + image.Now.Rewritten
		}
	}
	return key
}

// liveBlock is the text about one or more pods in the same state.
type liveBlock struct {
	pods     []report.ExplainedPod
	replicas int // of the webhook
	now      time.Time
}

// text returns a title, and a paragraph for each image field.
func (b liveBlock) text() string {
	var text strings.Builder
	text.WriteString(b.title() + "\n")
	pod := &b.pods[0]
	if pod.Heals > 0 {
		text.WriteString(labelled("  ", "healed", fmt.Sprintf("%s, last %s, because the kubelet could not pull",
			times(pod.Heals), b.since(func(p *report.ExplainedPod) string { return p.Healed }))))
	}
	for i := range pod.Images {
		text.WriteString("  " + pod.Images[i].Field + "\n")
		for _, row := range b.rows(i) {
			if row[1] != "" {
				text.WriteString(labelled("    ", row[0], row[1]))
			}
		}
	}
	return text.String()
}

// times formats how often something happened.
func times(n int) string {
	if n == 1 {
		return "once"
	}
	return step.Count(n, "time")
}

// title names the pods and their owner, and tells their state.
func (b liveBlock) title() string {
	pod := &b.pods[0]
	name, owner := "Pod "+pod.Namespace+"/"+pod.Name, ""
	if pod.OwnerKind != "" {
		owner = ", of " + pod.OwnerKind + " " + pod.OwnerName
	}
	if len(b.pods) > 1 {
		name, owner = fmt.Sprintf("%d pods of %s %s/%s", len(b.pods), pod.OwnerKind, pod.Namespace, pod.OwnerName), ""
	}
	return name + ": " + b.state() + owner
}

// state tells the pods' phase and their nodes, or what a gated pod waits for.
func (b liveBlock) state() string {
	switch pod := &b.pods[0]; {
	case pod.Gated && pod.Progress != "":
		return "waiting for a push (" + pod.Progress + ")"
	case pod.Gated:
		return "waiting for a push"
	case pod.Terminating:
		return "Terminating" + b.nodes()
	default:
		return pod.Phase + b.nodes()
	}
}

// nodes names the nodes. If there are several pods, it counts those on each node.
func (b liveBlock) nodes() string {
	onNode := map[string]int{}
	var names []string
	for i := range b.pods {
		name := b.pods[i].Node
		if name == "" {
			continue
		}
		if onNode[name]++; onNode[name] == 1 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if len(b.pods) > 1 && len(names) > 1 {
		for i, name := range names {
			names[i] = fmt.Sprintf("%s (%d)", name, onNode[name])
		}
	}
	if len(names) == 0 {
		return ""
	}
	return " on " + strings.Join(names, ", ")
}

// since returns how long ago the times of the pods were, as a range if they differ. at returns a pod's time in RFC 3339.
func (b liveBlock) since(at func(*report.ExplainedPod) string) string {
	var first, last time.Time
	for i := range b.pods {
		when, err := time.Parse(time.RFC3339, at(&b.pods[i]))
		if err != nil {
			continue
		}
		if first.IsZero() || when.Before(first) {
			first = when
		}
		if when.After(last) {
			last = when
		}
	}
	newest, oldest := humanAge(b.now.Sub(last)), humanAge(b.now.Sub(first))
	if newest == oldest {
		return newest + " ago"
	}
	return newest + " to " + oldest + " ago"
}

// labelled returns a line with a label and a text. It wraps the text at explainWidth.
func labelled(indent, label, text string) string {
	const labelWidth = 10
	first := fmt.Sprintf("%s%-*s", indent, labelWidth, label)
	rest := strings.Repeat(" ", len(indent)+labelWidth)
	var lines strings.Builder
	line := first
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
			line += word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > explainWidth:
			lines.WriteString(line + "\n")
			line = rest + word
		default:
			line += " " + word
		}
	}
	lines.WriteString(line + "\n")
	return lines.String()
}
