package registry

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// writeBackEvery is how many bytes are written before the kernel is told to start writing them to disk. When the upload is
// committed, little is left to write.
const writeBackEvery = 8 << 20

// upload is an upload's file. It is synced to disk once, when the upload is committed.
type upload struct {
	file    *os.File
	size    int64 // in bytes
	started int64 // offset up to which the kernel was told to write to disk
	err     error // error of the first failed write
	closed  bool
}

func newUpload(name string, appending bool) (*upload, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil { // #nosec G301 -- like distribution's driver
		return nil, err
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_APPEND
	if !appending {
		flags |= os.O_TRUNC
	}
	file, err := os.OpenFile(name, flags, 0o666) // #nosec G302 G304 -- like distribution's driver
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &upload{file: file, size: info.Size(), started: info.Size()}, nil
}

// Write appends to the file. If the write fails, for example because the disk is full, Write truncates the file to free the
// space immediately. An upload with missing bytes is worthless.
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
		// This is only a hint; Commit syncs the rest.
		_ = unix.SyncFileRange(int(u.file.Fd()), u.started, u.size-u.started, unix.SYNC_FILE_RANGE_WRITE) // #nosec G115
		u.started = u.size
	}
	return n, nil
}

// Size returns the file's size in bytes.
func (u *upload) Size() int64 { return u.size }

// Commit syncs the file to disk.
func (u *upload) Commit(context.Context) error {
	if u.err != nil {
		return u.err
	}
	return u.file.Sync()
}

// Close closes the file. A power failure may lose bytes that were not committed.
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
