package docker

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"
	"github.com/opencontainers/go-digest"
)

// inspectTime limits how long Watch waits for the names of a loaded image.
const inspectTime = 5 * time.Second

// Watch calls changed with each reference that a build, tag, load or pull moves to another image, and with the image's ID, which is
// "" if the daemon does not report it. Unless since is zero, Watch begins with the events since then that the daemon still knows. It
// returns when ctx ends or the daemon stops. The error is never nil.
func (c *Client) Watch(ctx context.Context, since time.Time, changed func(name string, id digest.Digest)) error {
	options := client.EventsListOptions{Filters: client.Filters{}.Add("type", string(events.ImageEventType)).
		Add("event", string(events.ActionTag), string(events.ActionLoad), string(events.ActionPull))}
	if !since.IsZero() {
		options.Since = strconv.FormatInt(since.Unix(), 10)
	}
	stream := c.api.Events(ctx, options)
	for {
		select {
		case message := <-stream.Messages:
			id := digest.Digest(message.Actor.ID)
			if id.Validate() != nil {
				id = ""
			}
			for _, name := range c.imageNames(ctx, message) {
				changed(name, id)
			}
		case err := <-stream.Err:
			return fmt.Errorf("watching the Docker daemon's events: %w", err)
		}
	}
}

// imageNames returns the image references in an event. For a pull, the reference is the actor's ID, because the event's name
// attribute has no tag. For a load, Docker's own image store reports only the image's ID, so imageNames returns all tags of the image.
func (c *Client) imageNames(ctx context.Context, message events.Message) []string {
	name := message.Actor.Attributes["name"]
	switch {
	case message.Action == events.ActionPull:
		return []string{message.Actor.ID}
	case message.Action == events.ActionLoad && digest.Digest(name).Validate() == nil:
		ctx, cancel := context.WithTimeout(ctx, inspectTime)
		defer cancel()
		found, err := c.api.ImageInspect(ctx, name)
		if err != nil {
			return nil // the image was removed again, or the stream of events ends, too
		}
		return found.RepoTags
	}
	return []string{name}
}
