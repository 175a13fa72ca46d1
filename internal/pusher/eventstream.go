package pusher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// eventLine is one line in the response to a request for events. The first line, and every heartbeat, has no event.
type eventLine struct {
	Event *Event `json:"event,omitempty"`
}

// events handles GET /v1/events. The client is disconnected if it is too slow, or when the server stops.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	feed := s.service.events.subscribe()
	defer s.service.events.unsubscribe(feed)
	w.Header().Set("Content-Type", "application/x-ndjson")
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for line := (eventLine{}); write(w, line) == nil; {
		ticker.Reset(heartbeat)
		line = eventLine{}
		select {
		case <-r.Context().Done():
			return
		case <-s.stopping:
			return
		case <-feed.lost:
			return
		case <-ticker.C:
		case event := <-feed.events:
			line.Event = &event
		}
	}
}

// Events does the same as Service.Events, through the server. It calls connected once when it receives events: changes before that
// are not reported. It also ends if the connection is lost, or the server sends nothing for three heartbeats. The caller then
// connects again, and checks what it has missed. Calls to connected and each are never concurrent.
func (c *Client) Events(ctx context.Context, connected func(), each func(Event)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(3*heartbeat, func() { cancel(errStalled) })
	defer watchdog.Stop()
	first := true
	err := c.receiveEvents(ctx, func(line eventLine) {
		watchdog.Reset(3 * heartbeat)
		if first {
			first = false
			connected()
		}
		if line.Event != nil {
			each(*line.Event)
		}
	})
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return fmt.Errorf("receiving the pusher's events: %w", err)
}

// receiveEvents sends the request and calls each with the lines of the response. The error is never nil.
func (c *Client) receiveEvents(ctx context.Context, each func(eventLine)) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+c.address+eventsPath, nil)
	if err != nil {
		return err
	}
	response, err := send(c.pushes, request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	for lines := json.NewDecoder(response.Body); ; {
		var line eventLine
		if err := lines.Decode(&line); errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		} else if err != nil {
			return err
		}
		each(line)
	}
}
