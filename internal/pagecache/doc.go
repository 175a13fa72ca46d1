// Package pagecache drops files from the kernel's page cache. A push reads and writes files of several times the image's size.
// In the page cache they displace other files, and on a virtual machine the host must provide each new page first.
package pagecache
