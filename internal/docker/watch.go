package docker

import (
	"context"
	"fmt"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"
)

// Watch calls changed with each reference that a build, tag, load or pull moves to another image. It returns when ctx ends or
// the daemon stops. The error is never nil.
func (c *Client) Watch(ctx context.Context, changed func(name string)) error {
	filters := client.Filters{}.Add("type", string(events.ImageEventType)).
		Add("event", string(events.ActionTag), string(events.ActionLoad), string(events.ActionPull))
	stream := c.api.Events(ctx, client.EventsListOptions{Filters: filters})
	for {
		select {
		case message := <-stream.Messages:
			changed(imageName(message))
		case err := <-stream.Err:
			return fmt.Errorf("watching the Docker daemon's events: %w", err)
		}
	}
}

// imageName returns the image reference in an event. For a pull, the reference is the actor's ID, because the event's name
// attribute has no tag.
func imageName(message events.Message) string {
	if message.Action == events.ActionPull {
		return message.Actor.ID
	}
	return message.Actor.Attributes["name"]
}
