// Package lookup looks up, for many concurrent admissions, which images the host and the registry have. It keeps an unavailable
// pusher from delaying more than one pod.
package lookup
