// Package lookup looks up which images the host and the registry have, for many concurrent admissions. It prevents an unavailable
// pusher from delaying more than one pod.
package lookup
