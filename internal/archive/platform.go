package archive

import (
	"slices"
	"strings"

	"github.com/containerd/platforms"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// nodesPlatform returns the nodes' platform. It is this machine's, but for the operating system.
func nodesPlatform() v1.Platform {
	p := platforms.DefaultSpec()
	p.OS, p.OSVersion, p.OSFeatures = "linux", "", nil
	return p
}

// platformOf returns the platform of a config.
func platformOf(settings v1.Image) v1.Platform {
	return platforms.Normalize(settings.Platform)
}

// runs reports whether the nodes can run images for the platform.
func runs(platform v1.Platform) bool { return platforms.Only(nodesPlatform()).Match(platform) }

// option is an image that may be chosen.
type option struct {
	// group identifies images that differ only in their platform.
	group string
	// listing identifies the entry of the archive's listing that the image belongs to.
	listing string
	// name identifies the image.
	name     string
	platform v1.Platform
}

// choice chooses one image of each group.
type choice struct {
	entry  string // the entry to blame
	groups []string
	of     map[string][]option
}

// newChoice returns an empty choice. entry is the archive's entry that lists the images.
func newChoice(entry string) *choice { return &choice{entry: entry, of: map[string][]option{}} }

// add adds an option.
func (c *choice) add(one option) {
	if c.of[one.group] == nil {
		c.groups = append(c.groups, one.group)
	}
	c.of[one.group] = append(c.of[one.group], one)
}

// best returns the image of each group that suits the nodes best. It returns a fault if no image of a group does, or if the archive lists
// two different ones that suit them equally well.
func (c *choice) best() ([]option, error) {
	var best []option
	for _, group := range c.groups {
		chosen, err := c.bestOf(c.of[group])
		if err != nil {
			return nil, err
		}
		best = append(best, chosen)
	}
	return best, nil
}

// bestOf returns the image that suits the nodes best. If an index has several that suit them equally well, it returns the first.
func (c *choice) bestOf(group []option) (best option, err error) {
	nodes := platforms.Only(nodesPlatform())
	var has []string
	for _, one := range group {
		has = append(has, platforms.Format(one.platform))
		switch {
		case !nodes.Match(one.platform):
		case best.name == "" || nodes.Less(one.platform, best.platform):
			best, err = one, nil
		case nodes.Less(best.platform, one.platform) || one.name == best.name || one.listing == best.listing:
		default:
			err = faultf(c.entry, "has two images with the name %s for %s", one.group, platforms.Format(one.platform))
		}
	}
	if best.name == "" {
		return best, wrongPlatform(c.entry, has)
	}
	return best, err
}

// wrongPlatform returns the fault of an archive whose images the nodes cannot run.
func wrongPlatform(entry string, has []string) error {
	slices.Sort(has)
	wants := platforms.Format(nodesPlatform())
	return &Fault{
		Entry:   entry,
		Problem: "has an image for " + strings.Join(slices.Compact(has), ", ") + ", but the nodes run " + wants,
		Remedy:  "build it for " + wants,
	}
}
