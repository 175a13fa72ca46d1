package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"kind-local-registry/internal/host"
	"kind-local-registry/internal/host/images"
	"kind-local-registry/internal/host/step"
	"kind-local-registry/internal/push"
)

// archiveFlags are the flags of setup push for archives.
type archiveFlags struct {
	file, tag string
}

// check returns an error if the flags do not fit together, or do not fit the other arguments.
func (f archiveFlags) check(allLocal bool, references []string) error {
	switch {
	case f.file == "" && f.tag != "":
		return errors.New("--tag names the image of an archive: give the archive with --archive")
	case f.file != "" && allLocal:
		return errors.New("--archive and --all-local cannot be combined: run setup push twice")
	case f.file != "" && len(references) > 0:
		return fmt.Errorf("--archive pushes every image of the archive, and %s is given too: run setup push twice, "+
			"or name the archive's only image with --tag", references[0])
	case f.tag != "":
		return images.Check([]string{f.tag})
	}
	return nil
}

// open opens the archive.
func (f archiveFlags) open(ctx context.Context, stdin io.Reader) (images.Archive, func() error, error) {
	if f.file == "-" {
		if canAnswer(stdin) {
			return images.Archive{}, nil, errors.New("--archive - reads the archive from stdin, which is a terminal: give a file or a pipe")
		}
		return images.Archive{Name: "stdin", Content: interruptible(ctx, stdin), Tag: f.tag}, func() error { return nil }, nil
	}
	from, closeFile, err := openArchive(f.file)
	from.Tag = f.tag
	return from, closeFile, err
}

// openArchive opens an archive's file.
func openArchive(name string) (images.Archive, func() error, error) {
	file, err := os.Open(name) // #nosec G304 -- the user chose the file
	if err != nil {
		return images.Archive{}, nil, err
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		err = step.Remedy(fmt.Errorf("%s is a directory", name),
			fmt.Sprintf("if it is an OCI image layout, run tar -C %s -c . | setup push --archive -", name))
	}
	if err != nil {
		return images.Archive{}, nil, errors.Join(err, file.Close())
	}
	from := images.Archive{Name: name, Content: file}
	if info.Mode().IsRegular() {
		from.Size = info.Size()
	}
	return from, file.Close, nil
}

// interruptible returns a reader that fails when ctx ends, even while a read from a pipe is waiting for its writer. That read ends with
// the process.
func interruptible(ctx context.Context, r io.Reader) io.Reader {
	out, in := io.Pipe()
	context.AfterFunc(ctx, func() { _ = out.CloseWithError(ctx.Err()) })
	go func() {
		_, err := io.Copy(in, r)
		_ = in.CloseWithError(err) // never fails
	}()
	return out
}

// pushArchive pushes the images of an archive and prints the outcomes to stdout.
func (o *pushOptions) pushArchive(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	from, closeFile, err := o.archive.open(ctx, stdin)
	if err != nil {
		return err
	}
	defer func() { _ = closeFile() }() // it was only read
	system, err := host.Open(ctx, host.Options{})
	if err != nil {
		return err
	}
	view := newPushView(o.output, &pushResults{w: stdout, format: o.format.value, images: []string{from.Name}})
	pushed, err := system.PushArchive(ctx, from, func(now push.Progress) { view.Pushing(0, now) })
	view.drop()
	view.close()
	if errors.Is(err, images.ErrCancelled) {
		return fmt.Errorf("interrupted: pushing %s was cancelled; nothing of it is left in the registry", from.Name)
	}
	if err != nil {
		return err
	}
	return o.printArchived(pushed, stdout)
}

// printArchived prints the outcomes of the images of an archive.
func (o *pushOptions) printArchived(pushed []images.Pushed, stdout io.Writer) error {
	results := &pushResults{w: stdout, format: o.format.value, quiet: o.output.quiet}
	for _, one := range pushed {
		results.images = append(results.images, one.Image)
	}
	for i, one := range pushed {
		results.add(stdout, i, one)
	}
	if err := results.end(pushed); err != nil {
		return err
	}
	return o.verdict(pushed)
}
