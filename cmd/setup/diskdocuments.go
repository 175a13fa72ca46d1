package main

import (
	"time"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/disk"
	"kind-local-registry/internal/host/report"
	"kind-local-registry/internal/inventory"
)

// convert converts each element. The result is never nil.
func convert[From, To any](all []From, one func(From) To) []To {
	converted := make([]To, 0, len(all))
	for _, element := range all {
		converted = append(converted, one(element))
	}
	return converted
}

// newImages returns the document of setup images.
func newImages(found disk.Report) report.Images {
	document := report.Images{
		RegistryHost: found.RegistryHost, Images: convert(found.Images, newImage),
		Clusters: convert(found.Clusters, func(c disk.Cluster) report.ImageCluster { return report.ImageCluster(c) }),
	}
	if found.Registry != nil {
		document.Registry = new(report.Storage(*found.Registry))
	}
	return document
}

// newImage returns an image as an element of a document.
func newImage(image disk.Image) report.Image {
	converted := report.Image{
		Repository: image.Repository, Digest: image.Digest.String(), Tags: append([]string{}, image.Tags...),
		InRegistry: image.InRegistry, Promised: image.Promised, Unreadable: image.Unreadable, Artifact: image.Artifact, Archive: image.Archive,
		Bytes: image.Bytes, OwnBytes: image.OwnBytes, Host: append([]string{}, image.Host...), HostBytes: image.HostBytes,
		Nodes: convert(image.Nodes, newNodeImage), UsedBy: convert(image.UsedBy, func(u disk.Use) report.Use { return report.Use(u) }),
		Used: image.Used,
	}
	if !image.LastUsed.IsZero() {
		converted.LastUsed = image.LastUsed.UTC().Format(time.RFC3339)
	}
	return converted
}

func newNodeImage(image disk.NodeImage) report.NodeImage { return report.NodeImage(image) }

// newPrune returns the document of setup prune.
func newPrune(pruned disk.Pruned, dryRun bool, err error) report.Prune {
	plan := pruned.Plan
	document := report.Prune{
		DryRun: dryRun,
		Plan: report.PrunePlan{
			Registry: convert(plan.Registry, newImage), RegistryBytes: plan.RegistryBytes, RegistryLeft: plan.RegistryLeft,
			Nodes: convert(plan.Nodes, newNodeImage), NodeBytes: plan.NodeBytes,
			Faults: plan.Faults, Blocked: plan.Blocked, BlockedBy: plan.BlockedBy,
		},
		NodeImages: convert(pruned.NodeImages, newNodeImage), NodeBytes: pruned.NodeBytes,
	}
	if removed := pruned.Removed; removed != nil {
		document.Removed = &report.Removed{
			Images: convert(removed.Images, newImageName), Kept: convert(removed.Kept, newImageName),
			Blobs: removed.Blobs, Bytes: removed.Bytes, Left: removed.Left,
		}
	}
	if err != nil {
		document.Error = err.Error()
	}
	return document
}

func newImageName(name inventory.Reference) report.ImageName {
	return report.ImageName{Repository: name.Repository, Digest: name.Digest.String()}
}

// newVerify returns the document of setup verify.
func newVerify(verified disk.Verified) report.Verify {
	return report.Verify{
		OK: len(verified.Broken()) == 0, Blobs: verified.Blobs, Bytes: verified.Bytes,
		Damaged: convert(verified.Damaged, digest.Digest.String),
		Faults: convert(verified.Faults, func(f disk.Fault) report.Fault {
			return report.Fault{
				Problem: string(f.Problem), Repository: f.Repository, Digest: f.Digest.String(), Tags: f.Tags, Config: f.Config.String(),
				Missing: convert(f.Missing, digest.Digest.String), Repaired: f.Repaired, Detail: f.Detail,
			}
		}),
	}
}
