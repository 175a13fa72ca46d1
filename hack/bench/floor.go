package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

// Shell commands that use basic tools to do the work of every delivery. The floor is the time that these commands take. The
// upload concurrently reads all layers from Docker's directories, archives them with tar, hashes the archives and writes them to
// disk. The fetch extracts the archives.
const (
	floorUpload = `tar -C %s -cf - . | tee %s/floor%d.hash | dd of=%s/floor%d.tar bs=1M conv=fsync status=none & `
	floorHash   = `mkfifo %s/floor%d.hash; sha256sum <%s/floor%d.hash >/dev/null & `
	floorFetch  = `mkdir -p %s/floor%d && tar -C %s/floor%d -xf %s/floor%d.tar & `
)

// measureFloor measures the floor of each scenario. It writes the files into the work directory.
func (b *bench) measureFloor(ctx context.Context, s subject, round int) error {
	trial := trial{b, s, method{Name: floor, tag: pulledTag}, round}
	layers, err := b.layerDirectories(ctx, s.references(trial.method)[0])
	if err != nil {
		return err
	}
	for scenario, work := range map[string]struct {
		layers []string
		upload bool
	}{
		first: {layers, true}, rebuild: {layers[:1], true}, recreate: {layers, false},
	} {
		if !s.has(scenario) || s.Images > 1 {
			continue
		}
		script := func(upload bool) (script strings.Builder) {
			for i, layer := range work.layers {
				w := b.work
				if upload {
					fmt.Fprintf(&script, floorHash, w, i, w, i)
					fmt.Fprintf(&script, floorUpload, layer, w, i, w, i)
				} else {
					fmt.Fprintf(&script, floorFetch, w, i, w, i, w, i)
				}
			}
			script.WriteString("wait; ")
			return script
		}
		upload, fetch := script(true), script(false)
		if !work.upload {
			if _, err := b.command(ctx, "", "sh", "-ec", upload.String()); err != nil {
				return err
			}
			upload.Reset()
		}
		err := trial.measure(ctx, scenario, "delivery", func() error {
			_, err := b.command(ctx, "", "sh", "-ec", upload.String()+fetch.String())
			return err
		})
		if err != nil {
			return err
		}
		if _, err := b.command(ctx, "", "sh", "-c", "rm -rf "+filepath.Join(b.work, "floor*")); err != nil {
			return err
		}
	}
	return nil
}
