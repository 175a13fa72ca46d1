// Package pagecache drops files from the kernel's page cache. A push reads and writes several times the image's size. In the
// page cache, that data displaces other files. On a virtual machine, the host must also provide memory for each new page.
package pagecache
