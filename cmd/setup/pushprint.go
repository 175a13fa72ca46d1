package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/docker/go-units"

	"kind-local-registry/internal/host/images"
	"kind-local-registry/internal/host/report"
	"kind-local-registry/internal/push"
)

// pushResults prints the outcomes of pushes in the order of the image arguments.
type pushResults struct {
	w      io.Writer
	format string // json, or "" for one line per image
	quiet  bool
	skips  bool // skip images that can never be pushed, instead of reporting a failure
	images []string

	ended map[int]images.Pushed // outcomes so far, by the index of the image
	next  int                   // index of the first image that has no outcome yet
}

// add records the outcome of one image. It prints to w the lines of the images that have an outcome, up to the first image that
// has none. It returns the index of the first image that has no outcome yet.
func (r *pushResults) add(w io.Writer, image int, pushed images.Pushed) int {
	if r.ended == nil {
		r.ended = map[int]images.Pushed{}
	}
	r.ended[image] = pushed
	for ; ; r.next++ {
		ready, found := r.ended[r.next]
		if !found {
			return r.next
		}
		// A cancelled image has no line, because the verdict names it.
		if !r.quiet && r.format == "" && !errors.Is(ready.Err, images.ErrCancelled) {
			_, _ = fmt.Fprintln(w, r.line(ready)) // the pushes have to finish even if the terminal is closed
		}
	}
}

// end prints the outcomes if the format is JSON.
func (r *pushResults) end(pushed []images.Pushed) error {
	if r.format == "" {
		return nil
	}
	entries := make([]report.Push, 0, len(pushed))
	for _, p := range pushed {
		entries = append(entries, newPushEntry(p))
	}
	return printJSON(r.w, entries)
}

// line returns the line about one image.
func (r *pushResults) line(p images.Pushed) string {
	image := r.pad(p.Image)
	switch {
	case p.Err == nil:
		details := []string{copied(p.Result), seconds(p.Duration)}
		if linked := onNodes(p.Nodes); linked != "" {
			details = append(details, linked)
		}
		return fmt.Sprintf("%s %s  %s  %s", mark(r.w, true), image, shortDigest(p.Rewritten), strings.Join(details, ", "))
	case r.skips && p.Reason() != "":
		return fmt.Sprintf("- %s  skipped, %v", image, p.Err)
	}
	return fmt.Sprintf("%s %s  %v", mark(r.w, false), image, p.Err)
}

// pad pads an image to the width of the longest one.
func (r *pushResults) pad(image string) string {
	var width int
	for _, other := range r.images {
		width = max(width, len(other))
	}
	return fmt.Sprintf("%-*s", width, image)
}

// copied describes how much of an image was pushed, and how much was already in the registry.
func copied(result push.Result) string {
	switch {
	case result.Bytes == 0 && result.PresentBytes == 0:
		return "already present"
	case result.Bytes == 0:
		return "all " + humanSize(result.PresentBytes) + " already present"
	case result.PresentBytes == 0:
		return humanSize(result.Bytes) + " pushed"
	}
	return humanSize(result.Bytes) + " pushed, " + humanSize(result.PresentBytes) + " already present"
}

// shortDigest shortens the digest in a reference to twelve hexadecimal digits, like Docker.
func shortDigest(reference string) string {
	const shown = len("sha256:") + 12
	name, digest, found := strings.Cut(reference, "@")
	if !found || len(digest) <= shown {
		return reference
	}
	return name + "@" + digest[:shown] + "…"
}

// humanSize formats a size with three significant digits and a decimal unit, such as 31.2 MB.
func humanSize(size int64) string {
	// If the size were not rounded first, 999,999 bytes would be formatted as 1e+03 kB.
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(float64(size), 'g', 3, 64), 64)
	return units.CustomSize("%.3g %s", rounded, 1000, []string{"B", "kB", "MB", "GB", "TB"})
}

// newPushEntry returns the outcome of one push as an element of setup push's document.
func newPushEntry(p images.Pushed) report.Push {
	entry := report.Push{
		Image: p.Image, Rewritten: p.Rewritten, Digest: p.Result.Digest.String(),
		Bytes: p.Result.Bytes, PresentBytes: p.Result.PresentBytes, Uploaded: p.Result.Uploaded, Present: p.Result.Present,
		Duration: report.Duration(p.Duration), Reason: string(p.Reason()),
	}
	if p.Err != nil {
		entry.Error = p.Err.Error()
	}
	for _, node := range p.Nodes {
		entry.Nodes = append(entry.Nodes, newNodeLayers(node))
	}
	return entry
}
