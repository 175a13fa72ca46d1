// Package lookup asks the pusher, for many admissions at once, which images the host and the registry have. It keeps an
// unavailable pusher from delaying more than one pod.
package lookup
