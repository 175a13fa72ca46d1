package registry

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// writeBackEvery is after how many bytes the kernel is told to begin writing an upload to the disk, so that little is
// left to write when the upload is committed.
const writeBackEvery = 8 << 20

// upload is the file of an upload. It is brought to the disk when it is committed, once.
type upload struct {
	file    *os.File
	size    int64 // in bytes
	started int64 // up to where writing to the disk has begun
	err     error // of the first write that failed
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

// Write appends to the file. Where that fails, as on a full disk, the file is emptied, so that the space is free for
// others at once: an upload that has a hole is of no worth.
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
		// Only a hint: what it does not do, the commit does.
		_ = unix.SyncFileRange(int(u.file.Fd()), u.started, u.size-u.started, unix.SYNC_FILE_RANGE_WRITE) // #nosec G115
		u.started = u.size
	}
	return n, nil
}

// Size returns how many bytes the file has.
func (u *upload) Size() int64 { return u.size }

// Commit brings the file to the disk.
func (u *upload) Commit(context.Context) error {
	if u.err != nil {
		return u.err
	}
	return u.file.Sync()
}

// Close closes the file; what was not committed can be gone after a loss of power.
func (u *upload) Close() error {
	if u.closed {
		return nil
	}
	u.closed = true
	return u.file.Close()
}

// Cancel removes the file.
func (u *upload) Cancel(context.Context) error {
	return errors.Join(u.Close(), os.Remove(u.file.Name()))
}
