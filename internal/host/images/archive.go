package images

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"kind-local-registry/config"
	"kind-local-registry/internal/archive"
	"kind-local-registry/internal/host/step"
	"kind-local-registry/internal/push"
	"kind-local-registry/internal/rewrite"
)

// stagingRepository is the repository to which the blobs of an archive are uploaded before it is known to which images they belong. It
// never has an image.
const stagingRepository = config.Name + "/archives"

// cancelTimeout is how long it may take to remove the uploads of an archive that is refused.
const cancelTimeout = 20 * time.Second

// Archive is an image archive.
type Archive struct {
	// Name names the archive in messages.
	Name string
	// Content is the archive's content, and Size its size in bytes; 0 if it is unknown.
	Content io.Reader
	Size    int64
	// Tag is the name of the archive's only image; "" for the names in the archive.
	Tag string
}

// ArchivePusher pushes the images of archives to the registry.
type ArchivePusher struct {
	// Registry is the registry, and RegistryHost its host in image references.
	Registry     *push.Registry
	RegistryHost string
	// Excluded describes the rule that excludes an image, given its normalised reference. It returns "" if no rule does.
	Excluded func(reference string) string
	// HostID returns the ID of the host's image with that reference, or "" if the host has none.
	HostID func(ctx context.Context, reference string) (string, error)
}

// archived is an image of an archive, and one of its names.
type archived struct {
	archive.Image

	name   rewrite.Name
	target push.Target
}

// Push pushes all images of the archive. If the archive is refused, the error names the entry that is wrong and a remedy, and nothing is
// left in the registry. Otherwise each outcome has its own error.
func (p ArchivePusher) Push(ctx context.Context, from Archive, progress func(push.Progress)) (pushed []Pushed, err error) {
	start := time.Now()
	staging := p.Registry.Stage(stagingRepository)
	defer func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelTimeout)
		defer cancel()
		err = errors.Join(err, staging.Cancel(ending))
	}()
	images, err := archive.Read(ctx, newMeasured(from, progress), staging)
	if err != nil {
		return nil, from.explain(ctx, err)
	}
	named, err := p.named(ctx, from, images)
	if err != nil {
		return nil, from.explain(ctx, err)
	}
	done := map[digest.Digest]bool{}
	for _, one := range named {
		outcome := Pushed{Image: one.name.Familiar()}
		if outcome.Result, err = p.put(ctx, staging, one, done); err != nil {
			outcome.Err = from.explain(ctx, err)
		} else {
			outcome.Rewritten, outcome.Err = pinned(one.name.String(), p.RegistryHost, outcome.Result)
		}
		outcome.Duration = time.Since(start)
		pushed = append(pushed, outcome)
	}
	return pushed, nil
}

// put stores an image under its name. It counts only the blobs that are not done yet.
func (p ArchivePusher) put(
	ctx context.Context, staging *push.Staging, one archived, done map[digest.Digest]bool,
) (result push.Result, err error) {
	for _, blob := range one.Blobs {
		uploaded, err := p.putBlob(ctx, staging, one.target.Repository, blob)
		switch {
		case err != nil:
			return result, err
		case done[blob.Digest]:
		case uploaded:
			result.Bytes, result.Uploaded = result.Bytes+blob.Size, result.Uploaded+1
		default:
			result.PresentBytes, result.Present = result.PresentBytes+blob.Size, result.Present+1
		}
		done[blob.Digest] = true
	}
	result.Digest, err = p.Registry.PutArchived(ctx, one.target, one.Manifest)
	return result, err
}

// putBlob makes a blob part of a repository. It reports whether the registry did not have the blob before.
func (p ArchivePusher) putBlob(
	ctx context.Context, staging *push.Staging, repository string, blob archive.Blob,
) (uploaded bool, err error) {
	if blob.Staged == nil {
		return p.Registry.Upload(ctx, repository, blob.Content)
	}
	if err := staging.Commit(ctx, blob.Staged, blob.Digest); err != nil {
		return false, err
	}
	return !blob.Staged.Present, p.Registry.Mount(ctx, repository, blob.Digest)
}

// named returns the images under each of their names. The error is a *archive.Fault or *rewrite.Refusal if an image has none, or one that
// pods cannot use.
func (p ArchivePusher) named(ctx context.Context, from Archive, images []archive.Image) ([]archived, error) {
	if from.Tag != "" {
		if len(images) > 1 {
			return nil, &archive.Fault{
				Problem: fmt.Sprintf("contains %d images, and --tag can name only one", len(images)), Remedy: "leave out --tag",
			}
		}
		images[0].Names = []string{from.Tag}
	}
	var all []archived
	for _, image := range images {
		if len(image.Names) == 0 {
			return nil, &archive.Fault{
				Entry: image.Entry, Problem: "the image has no name", Remedy: "name it with --tag, such as --tag example/app:v1",
			}
		}
		for _, reference := range image.Names {
			one, err := p.resolve(ctx, image, reference)
			if err != nil {
				return nil, err
			}
			same := func(other archived) bool { return other.target == one.target }
			if i := slices.IndexFunc(all, same); i < 0 {
				all = append(all, one)
			} else if !slices.Equal(all[i].Manifest, one.Manifest) {
				return nil, &archive.Fault{Entry: one.Entry, Problem: "has the name " + reference + ", which another image of the archive has too"}
			}
		}
	}
	return all, nil
}

// resolve finds out where in the registry an image with that reference belongs, and whether pods would run it.
func (p ArchivePusher) resolve(ctx context.Context, image archive.Image, reference string) (archived, error) {
	name, err := rewrite.Parse(reference)
	if err != nil || name.Tag() == "" || name.Digest() != "" {
		problem := fmt.Sprintf("the image's name is %q, which is not a name with a tag", reference)
		return archived{}, &archive.Fault{Entry: image.Entry, Problem: problem, Remedy: "give it another one with --tag"}
	}
	repository, err := name.Repository(p.RegistryHost)
	if err != nil {
		return archived{}, &archive.Fault{Entry: image.Entry, Problem: err.Error(), Remedy: "give it another name with --tag"}
	}
	if rule := p.Excluded(name.String()); rule != "" {
		return archived{}, &rewrite.Refusal{Reason: rewrite.ExcludedByRule, Detail: fmt.Sprintf("%s: %s", name.Familiar(), rule)}
	}
	id, err := p.HostID(ctx, name.String())
	if err != nil {
		return archived{}, err
	}
	if id != "" && !slices.Contains(image.IDs, digest.Digest(id)) {
		return archived{}, &archive.Fault{
			Entry:   image.Entry,
			Problem: "Docker has another image with the name " + name.Familiar() + ", which pods run",
			Remedy:  "remove that one with docker rmi " + name.Familiar() + ", or give this one another name with --tag",
		}
	}
	return archived{image, name, push.Target{Repository: repository, Reference: name.Tag()}}, nil
}

// explain adds the archive's name and a remedy to an error.
func (a Archive) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ErrCancelled
	}
	named := fmt.Errorf("%s: %w", a.Name, err)
	if fault, ok := errors.AsType[*archive.Fault](err); ok {
		return step.Remedy(named, cmp.Or(fault.Remedy, "save the image again"))
	}
	if reason := rewrite.ReasonOf(err); reason != "" {
		return step.Remedy(named, advice(reason))
	}
	if push.NoSpace(err) {
		return step.Remedy(named, advice(rewrite.NoSpace))
	}
	if errors.Is(err, push.ErrNoInventory) {
		return step.Remedy(named, "push it with docker load and setup push")
	}
	return step.Remedy(named, "see docker logs "+config.RegistryContainer+", and setup status")
}

// measured reads an archive and reports its progress.
type measured struct {
	reader io.Reader
	now    push.Progress
	last   time.Time
	report func(push.Progress)
}

// progressInterval is the minimum time between two reports of progress.
const progressInterval = 250 * time.Millisecond

// newMeasured returns a reader of the archive.
func newMeasured(from Archive, report func(push.Progress)) io.Reader {
	m := &measured{reader: from.Content, now: push.Progress{Total: from.Size}, report: report}
	m.report(m.now)
	return m
}

// Read implements io.Reader.
func (m *measured) Read(p []byte) (int, error) {
	n, err := m.reader.Read(p)
	m.now.Bytes += int64(n)
	if now := time.Now(); now.Sub(m.last) >= progressInterval || errors.Is(err, io.EOF) {
		m.last = now
		m.report(m.now)
	}
	return n, err
}
