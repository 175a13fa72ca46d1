package docker

import (
	"context"
	"fmt"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"
)

// Watch calls changed with each name that comes to stand for another image, by a build, a tag, a load or a pull, until ctx
// ends or the daemon does. The error is never nil.
func (c *Client) Watch(ctx context.Context, changed func(name string)) error {
	filters := client.Filters{}.Add("type", string(events.ImageEventType)).
		Add("event", string(events.ActionTag), string(events.ActionLoad), string(events.ActionPull))
	stream := c.api.Events(ctx, client.EventsListOptions{Filters: filters})
	for {
		select {
		case message := <-stream.Messages:
			changed(renamed(message))
		case err := <-stream.Err:
			return fmt.Errorf("following the Docker daemon's events: %w", err)
		}
	}
}

// renamed returns the name that the event is about. That of a pull is its actor, whose attribute lacks the tag.
func renamed(message events.Message) string {
	if message.Action == events.ActionPull {
		return message.Actor.ID
	}
	return message.Actor.Attributes["name"]
}
