package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"kind-local-registry/internal/disk"
	hostdisk "kind-local-registry/internal/host/disk"
	"kind-local-registry/internal/inventory"
)

func TestVerify_PrintsFaultsAndWhatBecameOfThem(t *testing.T) {
	t.Parallel()
	lost := func(problem inventory.Problem, repaired bool, detail string) disk.Fault {
		return disk.Fault{Detail: detail, Fault: inventory.Fault{
			Problem: problem, Repository: "example/app", Digest: digestWith("77"), Tags: []string{"1", "2"}, Repaired: repaired,
			Missing: []digest.Digest{digestWith("a"), digestWith("b")},
		}}
	}
	tag := disk.Fault{Fault: inventory.Fault{Problem: inventory.TagLost, Repository: "other", Tags: []string{"x"}}}
	damaged := []digest.Digest{digestWith("a")}
	for name, test := range map[string]struct {
		verified disk.Verified
		repair   bool
		want     string
		err      string
	}{
		"intact": {disk.Verified{Blobs: 1, Bytes: 2_000_000}, false, "Verified 1 blob of 2 MB: all images are intact.\n", ""},
		"found": {
			disk.Verified{Blobs: 20, Bytes: 2_000_000, Damaged: damaged, Faults: []disk.Fault{lost(inventory.BlobsLost, false, ""), tag}},
			false,
			`✗ example/app:1,2@770000000000  2 blobs lost
✗ other:x  it is unknown which image the tag refers to
Verified 20 blobs of 2 MB: 1 damaged, 2 faults not repaired.
`, "2 faults found; repair them with setup verify --repair",
		},
		"partly repaired": {
			disk.Verified{Blobs: 20, Bytes: 2_000_000, Damaged: damaged, Faults: []disk.Fault{
				lost(inventory.LinkDamaged, true, ""), lost(inventory.ManifestLost, false, "the host no longer has this build of example/app"),
			}},
			true,
			`✓ example/app:1,2@770000000000  a small file that refers to the data was damaged, repaired
✗ example/app:1,2@770000000000  the image manifest was lost, not repaired: the host no longer has this build of example/app
Verified 20 blobs of 2 MB: 1 damaged, 1 fault not repaired.
`, "1 fault could not be repaired; build or pull these images again",
		},
		"repaired": {
			disk.Verified{Blobs: 20, Bytes: 2_000_000, Damaged: damaged, Faults: []disk.Fault{lost(inventory.BlobsLost, true, "")}},
			true,
			`✓ example/app:1,2@770000000000  2 blobs lost, repaired
Verified 20 blobs of 2 MB: 1 damaged, and everything repaired.
`, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			if err := (&verifyOptions{repair: test.repair, output: &printer{}, format: &format{}}).print(&out, test.verified); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, out.String()); diff != "" {
				t.Errorf("setup verify (-want +got):\n%s", diff)
			}
			err := hostdisk.Faulty(test.verified, test.repair)
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("Faulty = %v, want %q", err, test.err)
			}
		})
	}
}

func TestDiskProgress_PrintsLinesOnlyIfItTakesLong(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	output := &printer{w: &stderr}
	progress := newDiskProgress(output)
	progress.step(disk.Step{Text: "early"})
	progress.begun = time.Now().Add(-10 * time.Second)
	progress.step(disk.Step{Text: "reading", Bytes: 250_000_000, Total: 1_000_000_000})
	progress.step(disk.Step{Text: "too soon after the last line"})
	progress.end()
	if want := "  reading: 250 MB of 1 GB, 30s left\n"; stderr.String() != want {
		t.Errorf("progress %q, want %q", stderr.String(), want)
	}
	quiet := newDiskProgress(&printer{w: io.Discard, quiet: true})
	quiet.step(disk.Step{Text: "nothing"}) // must not panic
}
