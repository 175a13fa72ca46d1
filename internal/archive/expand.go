package archive

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

const (
	// maxWindow is the largest window in bytes of a zstd stream. It is the default limit of the zstd command.
	maxWindow = 128 << 20
	// maxRatio is how many times its size compressed data may expand to, once it has expanded to more than freeBytes. Data that
	// expands further would only fill the registry's disk.
	maxRatio  = 200
	freeBytes = 4 << 30
	// longestMagic is the number of bytes by which expand detects a compression.
	longestMagic = 6
)

// compression is the way in which data is compressed: gzip, zstd, or "" if it is not.
type compression string

const (
	gzipped compression = "gzip"
	zstded  compression = "zstd"
)

// errExpands is the error for data that expands too far.
var errExpands = fmt.Errorf("expands to more than %d times its size, like a decompression bomb", maxRatio)

// compressionOf detects the compression by the first bytes of the data. The error names a compression that cannot be read.
func compressionOf(start []byte) (compression, error) {
	switch {
	case bytes.HasPrefix(start, []byte{0x1f, 0x8b}):
		return gzipped, nil
	case bytes.HasPrefix(start, []byte{0x28, 0xb5, 0x2f, 0xfd}), skippable(start):
		return zstded, nil
	case bytes.HasPrefix(start, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		return "", errors.New("is compressed with xz")
	case bytes.HasPrefix(start, []byte("BZh")):
		return "", errors.New("is compressed with bzip2")
	}
	return "", nil
}

// skippable reports whether a zstd stream begins with a skippable frame (https://www.rfc-editor.org/rfc/rfc8878, 3.1.2).
func skippable(start []byte) bool {
	return len(start) >= 4 && start[0]&0xf0 == 0x50 && bytes.Equal(start[1:4], []byte{0x2a, 0x4d, 0x18})
}

// expand returns a reader of the decompressed data. The caller must call end when it no longer reads.
func expand(r io.Reader) (data io.Reader, of compression, end func(), err error) {
	source := &counter{reader: r}
	buffered := bufio.NewReaderSize(source, 64<<10)
	start, err := buffered.Peek(longestMagic)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, "", nil, err
	}
	end = func() {}
	switch of, err = compressionOf(start); of {
	case gzipped:
		data, err = gzip.NewReader(buffered)
	case zstded:
		var decoder *zstd.Decoder
		if decoder, err = zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow)); err == nil {
			data, end = decoder, decoder.Close
		}
	default:
		data = buffered
	}
	if err != nil {
		return nil, of, nil, err
	}
	return &bounded{reader: data, source: source}, of, end, nil
}

// counter counts the bytes that are read.
type counter struct {
	reader io.Reader
	bytes  int64
}

// Read implements io.Reader.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.reader.Read(p)
	c.bytes += int64(n)
	return n, err
}

// bounded fails with errExpands if it reads much more than its source.
type bounded struct {
	reader io.Reader
	source *counter
	bytes  int64
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.reader.Read(p)
	b.bytes += int64(n)
	if b.bytes > freeBytes && b.bytes/maxRatio > b.source.bytes {
		return n, errExpands
	}
	return n, err
}
