package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/moby/moby/client"
)

// About describes the daemon, for people.
type About struct {
	// Version is the daemon's version, such as 29.8.0.
	Version string `json:"version"`
	// Driver is the storage driver, such as overlay2.
	Driver string `json:"driver"`
	// Root is the directory in which the daemon stores its data, on the daemon's host.
	Root string `json:"root"`
	// System is the operating system of the daemon's host, and Kernel its kernel.
	System string `json:"system"`
	Kernel string `json:"kernel"`
	// Rootless means that the daemon runs as an ordinary user, and Remapped that it maps the users of containers to other users.
	Rootless bool `json:"rootless"`
	Remapped bool `json:"remapped"`
	// LiveRestore means that containers keep running while the daemon restarts.
	LiveRestore bool `json:"liveRestore"`
	// HTTPProxy, HTTPSProxy and NoProxy are the daemon's proxy settings. They may contain credentials.
	HTTPProxy  string `json:"httpProxy,omitempty"`
	HTTPSProxy string `json:"httpsProxy,omitempty"`
	NoProxy    string `json:"noProxy,omitempty"`
}

// About returns what the daemon reports about itself.
func (e *Engine) About(ctx context.Context) (About, error) {
	reported, err := e.client.Info(ctx, client.InfoOptions{})
	if err != nil {
		return About{}, fmt.Errorf("asking Docker about itself: %w", err)
	}
	info := reported.Info
	option := func(name string) bool { // such as name=seccomp,profile=builtin
		return slices.ContainsFunc(info.SecurityOptions, func(o string) bool {
			first, _, _ := strings.Cut(o, ",")
			return first == "name="+name
		})
	}
	return About{
		Version: info.ServerVersion, Driver: info.Driver, Root: info.DockerRootDir, System: info.OperatingSystem, Kernel: info.KernelVersion,
		Rootless: option("rootless"), Remapped: option("userns"), LiveRestore: info.LiveRestoreEnabled,
		HTTPProxy: info.HTTPProxy, HTTPSProxy: info.HTTPSProxy, NoProxy: info.NoProxy,
	}, nil
}
