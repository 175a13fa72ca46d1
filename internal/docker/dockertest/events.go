package dockertest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/moby/moby/api/types/events"
)

// Build is like Tag, and also reports the event that a build causes.
func (e *Engine) Build(name string, image Image) {
	e.Tag(name, image)
	e.Report(events.ActionTag, image.ID().String(), name)
}

// Report adds an event about an image. actor is the event's ID, and name is its name attribute.
func (e *Engine) Report(action events.Action, actor, name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	e.events = append(e.events, events.Message{
		Type: events.ImageEventType, Action: action, Time: now.Unix(), TimeNano: now.UnixNano(),
		Actor: events.Actor{ID: actor, Attributes: map[string]string{"name": name}},
	})
	close(e.reported)
	e.reported = make(chan struct{})
}

// EndEvents ends all streams of events, as a daemon does that stops.
func (e *Engine) EndEvents() {
	e.mu.Lock()
	defer e.mu.Unlock()
	close(e.ended)
	e.ended = make(chan struct{})
}

// AwaitWatcher waits until a client has requested a stream of events that has not ended.
func (e *Engine) AwaitWatcher() { <-e.watchers }

// stream handles GET /events. Unless the request names a time, the stream begins with the next event.
func (e *Engine) stream(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	next, ended := len(e.events), e.ended
	if since, err := strconv.ParseFloat(r.URL.Query().Get("since"), 64); err == nil {
		for next > 0 && float64(e.events[next-1].Time) >= since {
			next--
		}
	}
	e.mu.Unlock()
	control := http.NewResponseController(w)
	_ = control.Flush()
	select {
	case e.watchers <- struct{}{}:
	default:
	}
	for {
		e.mu.Lock()
		unsent, reported := e.events[next:], e.reported
		e.mu.Unlock()
		for _, message := range unsent {
			_ = json.NewEncoder(w).Encode(message) // fails only if the client has disconnected
		}
		next += len(unsent)
		_ = control.Flush()
		select {
		case <-r.Context().Done():
			return
		case <-ended:
			return
		case <-reported:
		}
	}
}
