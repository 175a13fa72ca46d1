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

// driverName is what the driver is called in distribution's configuration.
const driverName = "verified-filesystem"

// driver is distribution's filesystem driver, on the same layout, with three differences. What does not match its digest is
// not there: distribution would serve it, and keep it when the same blob is uploaded again, whatever is in it. An upload,
// which is of no worth before it is committed, is not brought to the disk before that. And what has been read of a blob is
// not kept in memory: a node pulls it once.
type driver struct {
	storagedriver.StorageDriver

	root     string
	verifier *verifier
}

// driverFactory makes drivers for distribution, which knows drivers by their names only.
type driverFactory struct{}

// Create implements factory.StorageDriverFactory. The verifier is handed over as it is.
func (driverFactory) Create(_ context.Context, parameters map[string]any) (storagedriver.StorageDriver, error) {
	verifier, ok := parameters["verifier"].(*verifier)
	if !ok {
		return nil, errors.New(driverName + ": no verifier among the parameters")
	}
	plain, err := filesystem.FromParameters(map[string]any{"rootdirectory": verifier.root})
	if err != nil {
		return nil, err
	}
	return &driver{StorageDriver: plain, root: verifier.root, verifier: verifier}, nil
}

func init() { //nolint:gochecknoinits // the only way by which distribution finds a driver
	factory.Register(driverName, driverFactory{})
}

// Stat returns the size of a file. A blob that is damaged is removed, and is not there.
func (d *driver) Stat(ctx context.Context, path string) (storagedriver.FileInfo, error) {
	if err := d.check(ctx, path); err != nil {
		return nil, err
	}
	return d.StorageDriver.Stat(ctx, path)
}

// GetContent returns the content of a small file: a manifest, or a link. One that is damaged is not there.
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

// Reader opens a file for reading.
func (d *driver) Reader(ctx context.Context, path string, offset int64) (io.ReadCloser, error) {
	opened, err := d.StorageDriver.Reader(ctx, path, offset)
	if err != nil {
		return nil, err
	}
	file, isFile := opened.(*os.File)
	if _, isBlob := blobDigest(path); !isBlob || !isFile {
		return opened, nil
	}
	return &forgetful{file: file, at: offset, forgotten: offset}, nil
}

// check returns that the file is not there, where it is a blob and damaged.
func (d *driver) check(ctx context.Context, path string) error {
	digest, isBlob := blobDigest(path)
	if !isBlob || d.verifier.intact(ctx, digest) {
		return nil
	}
	return storagedriver.PathNotFoundError{Path: path, DriverName: driverName}
}

// Move puts a blob, which distribution has verified while it was written, into its place.
func (d *driver) Move(ctx context.Context, from, to string) error {
	if err := d.StorageDriver.Move(ctx, from, to); err != nil {
		return err
	}
	if digest, isBlob := blobDigest(to); isBlob {
		d.verifier.trust(digest)
	}
	return nil
}

// PutContent writes a small file. What belongs to an upload under way is not brought to the disk.
func (d *driver) PutContent(ctx context.Context, path string, content []byte) error {
	if !strings.Contains(path, "/_uploads/") {
		return d.StorageDriver.PutContent(ctx, path, content)
	}
	name := filepath.Join(d.root, path)
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil { // #nosec G301 -- as distribution's driver
		return err
	}
	return os.WriteFile(name, content, 0o666) // #nosec G306 -- as distribution's driver
}

// Writer opens a file for writing.
func (d *driver) Writer(ctx context.Context, path string, appending bool) (storagedriver.FileWriter, error) {
	if !strings.Contains(path, "/_uploads/") {
		return d.StorageDriver.Writer(ctx, path, appending)
	}
	return newUpload(filepath.Join(d.root, path), appending)
}
