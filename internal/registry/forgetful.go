package registry

import (
	"os"

	"kind-local-registry/internal/pagecache"
)

// forgetEvery is after how many bytes the kernel is told to forget what has been read of a blob, so that the memory is free
// for what the node writes of the same blob.
const forgetEvery = 8 << 20

// forgetful is the file of a blob. The kernel keeps nothing of what has been read.
type forgetful struct {
	file      *os.File
	at        int64 // how far it has been read, in bytes
	forgotten int64 // up to where it has been forgotten
}

// Read reads on in the file.
func (f *forgetful) Read(p []byte) (int, error) {
	n, err := f.file.Read(p)
	f.at += int64(n)
	if f.at-f.forgotten >= forgetEvery {
		f.forget()
	}
	return n, err
}

// forget begins at the start of the file: a page that was only read in part the last time, and so was kept, can go now.
func (f *forgetful) forget() {
	pagecache.Forget(f.file, f.at)
	f.forgotten = f.at
}

// Close closes the file.
func (f *forgetful) Close() error {
	f.forget()
	return f.file.Close()
}
