package registry

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/factory"
	"github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
)

// driverName is the driver's name in distribution's configuration.
const driverName = "verified-filesystem"

// driver uses the same layout on disk as distribution's filesystem driver, but differs in three ways:
//   - It reports a blob as missing if the blob does not match its digest. distribution would serve the damaged blob, and would
//     keep it even when the same blob is uploaded again.
//   - It syncs an upload to disk only when the upload is committed. An uncommitted upload is worthless.
//   - It drops a blob from the page cache after the blob has been read, because each node pulls a blob only once.
type driver struct {
	storagedriver.StorageDriver

	root     string
	verifier *verifier
}

// driverFactory creates drivers for distribution, which finds drivers only by name.
type driverFactory struct{}

// Create implements factory.StorageDriverFactory. The parameter "verifier" is a *verifier.
func (driverFactory) Create(_ context.Context, parameters map[string]any) (storagedriver.StorageDriver, error) {
	verifier, ok := parameters["verifier"].(*verifier)
	if !ok {
		return nil, errors.New("creating driver " + driverName + ": no verifier in the parameters")
	}
	plain, err := filesystem.FromParameters(map[string]any{"rootdirectory": verifier.root})
	if err != nil {
		return nil, err
	}
	return &driver{StorageDriver: plain, root: verifier.root, verifier: verifier}, nil
}

func init() { //nolint:gochecknoinits // distribution finds drivers in no other way
	factory.Register(driverName, driverFactory{})
}

// Stat returns a file's size. If the file is a damaged blob, Stat removes it and reports it as missing.
func (d *driver) Stat(ctx context.Context, path string) (storagedriver.FileInfo, error) {
	if err := d.check(ctx, path); err != nil {
		return nil, err
	}
	return d.StorageDriver.Stat(ctx, path)
}

// GetContent returns the content of a small file: an image manifest or a link. It reports a damaged file as missing.
func (d *driver) GetContent(ctx context.Context, path string) ([]byte, error) {
	if err := d.check(ctx, path); err != nil {
		return nil, err
	}
	content, err := d.StorageDriver.GetContent(ctx, path)
	if err == nil && strings.HasSuffix(path, "/link") && !validLink(path, content) {
		return nil, storagedriver.PathNotFoundError{Path: path, DriverName: driverName}
	}
	return content, err
}

// Reader opens a file at offset. If the file is a blob, the bytes that have been read are dropped from the page cache.
func (d *driver) Reader(ctx context.Context, path string, offset int64) (io.ReadCloser, error) {
	opened, err := d.StorageDriver.Reader(ctx, path, offset)
	if err != nil {
		return nil, err
	}
	file, isFile := opened.(*os.File)
	if _, isBlob := blobDigest(path); !isBlob || !isFile {
		return opened, nil
	}
	return &uncachedFile{file: file, at: offset, dropped: offset}, nil
}

// check returns storagedriver.PathNotFoundError if the file is a damaged blob.
func (d *driver) check(ctx context.Context, path string) error {
	digest, isBlob := blobDigest(path)
	if !isBlob || d.verifier.intact(ctx, digest) {
		return nil
	}
	return storagedriver.PathNotFoundError{Path: path, DriverName: driverName}
}

// Move moves an upload to its blob's path. The blob is trusted, because distribution verified it during the upload.
func (d *driver) Move(ctx context.Context, from, to string) error {
	if err := d.StorageDriver.Move(ctx, from, to); err != nil {
		return err
	}
	if digest, isBlob := blobDigest(to); isBlob {
		d.verifier.trust(digest)
	}
	return nil
}

// PutContent writes a small file. If the file belongs to an upload in progress, PutContent does not sync it.
func (d *driver) PutContent(ctx context.Context, path string, content []byte) error {
	if !strings.Contains(path, "/_uploads/") {
		return d.StorageDriver.PutContent(ctx, path, content)
	}
	name := filepath.Join(d.root, path)
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil { // #nosec G301 -- like distribution's driver
		return err
	}
	return os.WriteFile(name, content, 0o666) // #nosec G306 -- like distribution's driver
}

// Writer opens a file for writing. If the file is an upload, it is synced only on Commit.
func (d *driver) Writer(ctx context.Context, path string, appending bool) (storagedriver.FileWriter, error) {
	if !strings.Contains(path, "/_uploads/") {
		return d.StorageDriver.Writer(ctx, path, appending)
	}
	return newUpload(filepath.Join(d.root, path), appending)
}
