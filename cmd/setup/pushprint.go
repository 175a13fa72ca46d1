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

// pushResults prints what became of each image, in the order in which they were named.
type pushResults struct {
	w      io.Writer
	format string // json, or "" for a line an image
	quiet  bool
	skips  bool // that an image cannot be pushed is no failure
	images []string

	ended map[int]images.Pushed // of which the lines wait for those of earlier images
	next  int
}

// add takes the result of one image and prints, through w, all lines that need not wait any more. It returns how many
// images, from the first on, are through with that.
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
		// What was cancelled is said once for all of them.
		if !r.quiet && r.format == "" && !errors.Is(ready.Err, images.ErrCancelled) {
			_, _ = fmt.Fprintln(w, r.line(ready)) // a screen that is gone is no reason to stop half-way
		}
	}
}

// end prints what is printed at the end only.
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

// line says what became of one image.
func (r *pushResults) line(p images.Pushed) string {
	image := r.pad(p.Image)
	switch {
	case p.Err == nil:
		return fmt.Sprintf("%s %s  %s  %s, %s", mark(r.w, true), image, shortDigest(p.Rewritten), moved(p.Result), seconds(p.Duration))
	case r.skips && p.Reason() != "":
		return fmt.Sprintf("- %s  skipped, %v", image, p.Err)
	}
	return fmt.Sprintf("%s %s  %v", mark(r.w, false), image, p.Err)
}

// pad makes all names as wide as the widest.
func (r *pushResults) pad(image string) string {
	var width int
	for _, other := range r.images {
		width = max(width, len(other))
	}
	return fmt.Sprintf("%-*s", width, image)
}

// moved says how much of an image was moved, and how much did not have to be.
func moved(result push.Result) string {
	switch {
	case result.Bytes == 0 && result.PresentBytes == 0:
		return "already there"
	case result.Bytes == 0:
		return "all " + humanSize(result.PresentBytes) + " already there"
	case result.PresentBytes == 0:
		return humanSize(result.Bytes) + " pushed"
	}
	return humanSize(result.Bytes) + " pushed, " + humanSize(result.PresentBytes) + " already there"
}

// shortDigest cuts the digest of a reference to the twelve digits that Docker shows.
func shortDigest(reference string) string {
	const shown = len("sha256:") + 12
	name, digest, found := strings.Cut(reference, "@")
	if !found || len(digest) <= shown {
		return reference
	}
	return name + "@" + digest[:shown] + "…"
}

// humanSize writes a size with three digits, in units of 1000.
func humanSize(size int64) string {
	// Rounded first, or 999,999 bytes would be 1e+03 kB.
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(float64(size), 'g', 3, 64), 64)
	return units.CustomSize("%.3g %s", rounded, 1000, []string{"B", "kB", "MB", "GB", "TB"})
}

// pushEntry is what became of one image, for a script.
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
