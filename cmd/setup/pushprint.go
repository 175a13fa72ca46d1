package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"kind-local-registry/internal/host/images"

	"github.com/docker/go-units"

	"kind-local-registry/internal/push"
	"kind-local-registry/internal/rewrite"
)

// pushResults prints the outcomes in the order of the images.
type pushResults struct {
	w      io.Writer
	format string // json, or "" for one line per image
	quiet  bool
	skips  bool // an image that can never be pushed is no failure
	images []string

	ended map[int]images.Pushed // outcomes, whose lines may wait for those of earlier images
	next  int
}

// add takes the outcome of one image, and prints to w all lines that no longer wait. It returns the number of images, from the
// first, that have ended.
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
		// The verdict names all cancelled images once.
		if !r.quiet && r.format == "" && !errors.Is(ready.Err, images.ErrCancelled) {
			_, _ = fmt.Fprintln(w, r.line(ready)) // the pushes have to finish even if the terminal is closed
		}
	}
}

// end prints the JSON.
func (r *pushResults) end(pushed []images.Pushed) error {
	if r.format == "" {
		return nil
	}
	entries := make([]pushEntry, 0, len(pushed))
	for _, p := range pushed {
		entries = append(entries, newPushEntry(p))
	}
	encoder := json.NewEncoder(r.w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(entries)
}

// line returns the line of one image.
func (r *pushResults) line(p images.Pushed) string {
	image := r.pad(p.Image)
	switch {
	case p.Err == nil:
		return fmt.Sprintf("%s %s  %s  %s, %s", mark(r.w, true), image, shortDigest(p.Rewritten), copied(p.Result), seconds(p.Duration))
	case r.skips && p.Reason() != "":
		return fmt.Sprintf("- %s  skipped, %v", image, p.Err)
	}
	return fmt.Sprintf("%s %s  %v", mark(r.w, false), image, p.Err)
}

// pad pads a name to the width of the longest.
func (r *pushResults) pad(image string) string {
	var width int
	for _, other := range r.images {
		width = max(width, len(other))
	}
	return fmt.Sprintf("%-*s", width, image)
}

// copied says how much of an image was pushed, and how much the registry had already.
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

// shortDigest cuts the digest of a reference to twelve digits, as Docker shows it.
func shortDigest(reference string) string {
	const shown = len("sha256:") + 12
	name, digest, found := strings.Cut(reference, "@")
	if !found || len(digest) <= shown {
		return reference
	}
	return name + "@" + digest[:shown] + "…"
}

// humanSize returns a size with three digits, in units of 1000.
func humanSize(size int64) string {
	// Without rounding first, 999,999 bytes would be 1e+03 kB.
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(float64(size), 'g', 3, 64), 64)
	return units.CustomSize("%.3g %s", rounded, 1000, []string{"B", "kB", "MB", "GB", "TB"})
}

// pushEntry is the outcome of one image in JSON.
type pushEntry struct {
	Image        string         `json:"image"`
	Rewritten    string         `json:"rewritten,omitempty"`
	Digest       string         `json:"digest,omitempty"`
	Bytes        int64          `json:"bytes"`
	PresentBytes int64          `json:"presentBytes"`
	Uploaded     int            `json:"uploaded"`
	Present      int            `json:"present"`
	Duration     float64        `json:"duration"` // in seconds
	Reason       rewrite.Reason `json:"reason,omitempty"`
	Error        string         `json:"error,omitempty"`
}

func newPushEntry(p images.Pushed) pushEntry {
	entry := pushEntry{
		Image: p.Image, Rewritten: p.Rewritten, Digest: p.Result.Digest.String(),
		Bytes: p.Result.Bytes, PresentBytes: p.Result.PresentBytes, Uploaded: p.Result.Uploaded, Present: p.Result.Present,
		Duration: math.Round(p.Duration.Seconds()*1000) / 1000, Reason: p.Reason(),
	}
	if p.Err != nil {
		entry.Error = p.Err.Error()
	}
	return entry
}
