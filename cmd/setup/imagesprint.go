package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/disk"
	"kind-local-registry/internal/host/step"
)

// print prints the report in the chosen format.
func (o *imagesOptions) print(w io.Writer, report disk.Report) error {
	switch {
	case o.format.json():
		return printJSON(w, newImages(report))
	case o.output.quiet:
		return nil
	}
	return printImages(w, report)
}

// printImages prints the report as a table.
func printImages(w io.Writer, report disk.Report) error {
	rows := [][]string{{"IMAGE", "DIGEST", "SIZE", "OWN", "HOST", "NODES", "USED BY", "LAST USED"}}
	var unused int
	var freed int64
	for _, image := range report.Images {
		if !image.Used {
			unused++
			freed += image.OwnBytes
		}
		rows = append(rows, []string{
			imageName(image), shortID(image.Digest), size(cmp.Or(image.Bytes, image.HostBytes)), own(image), yes(len(image.Host) > 0),
			count(len(image.Nodes)), users(image), ago(image.LastUsed),
		})
	}
	_, err := fmt.Fprint(w, strings.Join(align(rows), "\n"), "\n", storage(report, unused, freed), unknown(report))
	return err
}

// imageName returns the image's repository with its tags. It notes anything unusual.
func imageName(image disk.Image) string {
	name := image.Repository
	switch {
	case name == "":
		name = "(from kind load)"
	case len(image.Tags) > 0:
		name += ":" + strings.Join(image.Tags, ",")
	case len(image.Host) > 0:
		name = strings.Join(image.Host, ",")
	}
	switch {
	case image.Promised:
		name += " (promised)"
	case image.Unreadable:
		name += " (damaged)"
	case image.Artifact:
		name += " (no container image)"
	case image.Archive:
		name += " (from an archive)"
	}
	return name
}

// shortID returns the first 12 digits of a digest, like Docker.
func shortID(d digest.Digest) string {
	_, hex, found := strings.Cut(d.String(), ":")
	if !found {
		return "-"
	}
	return hex[:min(len(hex), 12)]
}

// own formats the size in the registry that no other image shares.
func own(image disk.Image) string {
	if !image.InRegistry {
		return "-"
	}
	return humanSize(image.OwnBytes)
}

// size formats a size, or returns - if it is unknown.
func size(bytes int64) string {
	if bytes == 0 {
		return "-"
	}
	return humanSize(bytes)
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "-"
}

func count(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

// users names the first object that uses the image, and counts the others. Pods come first.
func users(image disk.Image) string {
	if len(image.UsedBy) == 0 {
		return "-"
	}
	sorted := slices.Clone(image.UsedBy)
	rank := func(use disk.Use) int {
		if use.Kind == "Pod" {
			return 0
		}
		return 1
	}
	slices.SortFunc(sorted, func(a, b disk.Use) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name))
	})
	first := fmt.Sprintf("%s %s/%s", strings.ToLower(sorted[0].Kind), sorted[0].Namespace, sorted[0].Name)
	if others := len(sorted) - 1; others > 0 {
		first += fmt.Sprintf(" and %d more", others)
	}
	return first
}

// ago describes how long ago a time was.
func ago(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return strings.ToLower(units.HumanDuration(time.Since(t))) + " ago"
}

// storage describes the registry's storage.
func storage(report disk.Report, unused int, freed int64) string {
	if report.Registry == nil {
		return "\nThe registry is not the one that setup contains, so it cannot list its images. The table shows the images on nodes.\n"
	}
	text := fmt.Sprintf("\nThe registry has %s", humanSize(report.Registry.Bytes))
	if report.Registry.Limit > 0 {
		text += " of at most " + humanSize(report.Registry.Limit)
	}
	if freed += report.Registry.Unneeded; unused > 0 || freed > 0 {
		return fmt.Sprintf("%s. %s not used; setup prune frees at least %s of it.\n", text, are(unused, "image"), humanSize(freed))
	}
	return text + ". All images are used.\n"
}

// are formats a number with its noun and verb.
func are(n int, noun string) string {
	if n == 1 {
		return "1 " + noun + " is"
	}
	return step.Count(n, noun) + " are"
}

// unknown names the clusters whose pods are unknown, and the nodes whose images are.
func unknown(report disk.Report) string {
	var text strings.Builder
	for _, cluster := range report.Clusters {
		if cluster.Unknown != "" {
			fmt.Fprintf(&text, "It is unknown which images the pods of kind cluster %s use: %s\n", cluster.Name, cluster.Unknown)
		}
		for _, fault := range cluster.Faults {
			fmt.Fprintf(&text, "The images of a node are missing: %s\n", fault)
		}
	}
	return text.String()
}
