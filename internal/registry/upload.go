package registry

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// writeBackEvery is the number of bytes after which the kernel is told to start writing an upload to disk. Little is left to
// write when the upload is committed.
const writeBackEvery = 8 << 20

// upload is the file of an upload. It is synced to disk once, when it is committed.
type upload struct {
	file    *os.File
	size    int64 // in bytes
	started int64 // end of the bytes that the kernel was told to write to disk
	err     error // of the first failed write
	closed  bool
}

func newUpload(name string, appending bool) (*upload, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil { // #nosec G301 -- as distribution's driver
		return nil, err
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_APPEND
	if !appending {
		flags |= os.O_TRUNC
	}
	file, err := os.OpenFile(name, flags, 0o666) // #nosec G302 G304 -- as distribution's driver
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &upload{file: file, size: info.Size(), started: info.Size()}, nil
}

// Write appends to the file. If that fails, as on a full disk, it truncates the file to free the space immediately: an upload
// with a hole is worthless.
func (u *upload) Write(p []byte) (int, error) {
	if u.err != nil {
		return 0, u.err
	}
	n, err := u.file.Write(p)
	u.size += int64(n)
	if err != nil {
		u.err = err
		return n, errors.Join(err, u.file.Truncate(0))
	}
	if u.size-u.started >= writeBackEvery {
		// Only a hint: the commit syncs the rest.
		_ = unix.SyncFileRange(int(u.file.Fd()), u.started, u.size-u.started, unix.SYNC_FILE_RANGE_WRITE) // #nosec G115
		u.started = u.size
	}
	return n, nil
}

// Size returns the size of the file in bytes.
func (u *upload) Size() int64 { return u.size }

// Commit syncs the file to disk.
func (u *upload) Commit(context.Context) error {
	if u.err != nil {
		return u.err
	}
	return u.file.Sync()
}

// Close closes the file. Uncommitted bytes can be lost in a power failure.
func (u *upload) Close() error {
	if u.closed {
		return nil
	}
	u.closed = true
	return u.file.Close()
}

// Cancel closes and removes the file.
func (u *upload) Cancel(context.Context) error {
	return errors.Join(u.Close(), os.Remove(u.file.Name()))
}
