// Package pagecache gives memory back that the kernel keeps of files. A delivery goes through files several times as big as
// the image; kept, they push out what others need, and on a virtual machine each new page has first to come from its host.
package pagecache
