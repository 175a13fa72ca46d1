package registry

import (
	"os"

	"kind-local-registry/internal/pagecache"
)

// dropEvery is how many bytes are read before they are dropped from the page cache. Dropping them leaves memory for the node,
// which writes the same blob to disk.
const dropEvery = 8 << 20

// uncachedFile is a blob's file. It is dropped from the page cache while it is being read.
type uncachedFile struct {
	file    *os.File
	at      int64 // offset of the next read, in bytes
	dropped int64 // offset up to which bytes have been dropped
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

// drop drops all bytes read so far. It always starts at offset 0, because the previous call did not drop its last page if only
// part of that page had been read.
func (f *uncachedFile) drop() {
	pagecache.Drop(f.file, f.at)
	f.dropped = f.at
}

// Close drops the remaining bytes and closes the file.
func (f *uncachedFile) Close() error {
	f.drop()
	return f.file.Close()
}
