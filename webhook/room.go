package webhook

import "context"

// roomKey is the key of a request's waiting room in its context.
type roomKey struct{}

// WithRoom returns the context of a request that may wait for a push only if room returns true. Nothing is asked of room
// before.
func WithRoom(ctx context.Context, room func() bool) context.Context {
	return context.WithValue(ctx, roomKey{}, room)
}

// mayWait reports whether the request of the context may wait for a push.
func mayWait(ctx context.Context) bool {
	room, limited := ctx.Value(roomKey{}).(func() bool)
	return !limited || room()
}
