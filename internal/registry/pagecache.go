package registry

import (
	"os"

	"kind-local-registry/internal/pagecache"
)

// dropEvery is the number of bytes read after which they are dropped from the page cache. That leaves the memory to the node,
// which writes the same blob.
const dropEvery = 8 << 20

// uncachedFile is a blob's file that is dropped from the page cache as it is read.
type uncachedFile struct {
	file    *os.File
	at      int64 // offset of the next read, in bytes
	dropped int64 // end of the bytes dropped so far
}

// Read reads from the file.
func (f *uncachedFile) Read(p []byte) (int, error) {
	n, err := f.file.Read(p)
	f.at += int64(n)
	if f.at-f.dropped >= dropEvery {
		f.drop()
	}
	return n, err
}

// drop starts at offset 0: the kernel kept the last page of the previous call if it was read only in part.
func (f *uncachedFile) drop() {
	pagecache.Drop(f.file, f.at)
	f.dropped = f.at
}

// Close drops the rest and closes the file.
func (f *uncachedFile) Close() error {
	f.drop()
	return f.file.Close()
}
