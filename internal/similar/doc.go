// Package similar finds the image names that a user may have meant when a name does not exist on the host. It tells a typing error,
// about which the user is warned, from an ordinary name that happens to resemble another (docs/adr/0039).
//
// The package knows only names. The pusher lists the host's tags and checks where their images come from.
package similar
