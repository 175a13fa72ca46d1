// Command spoil changes every file that it can reach, in every way that a system call can, and then waits.
package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	changed := 0
	_ = filepath.WalkDir("/", func(path string, d fs.DirEntry, err error) error {
		for _, other := range []string{"/proc", "/sys", "/dev"} {
			if err != nil || strings.HasPrefix(path, other) {
				return filepath.SkipDir
			}
		}
		if path != "/" && path != os.Args[0] {
			spoil(path, d)
			changed++
		}
		return nil
	})
	fmt.Println("changed", changed)
	time.Sleep(time.Hour)
}

// spoil changes one file or directory. Errors do not matter: the next system call may succeed.
func spoil(path string, d fs.DirEntry) {
	if d.Type().IsRegular() {
		write(path)
	}
	_ = os.Lchown(path, 12345, 12345)
	_ = unix.Lsetxattr(path, "user.spoiled", []byte("yes"), 0)
	_ = unix.Lsetxattr(path, "trusted.overlay.opaque", []byte("y"), 0)
	_ = unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{{Sec: 1}, {Sec: 1}}, unix.AT_SYMLINK_NOFOLLOW)
	if d.IsDir() {
		_ = os.Chmod(path, 0o777)
		_ = os.WriteFile(filepath.Join(path, "spoiled"), []byte("new"), 0o600)
		return
	}
	if d.Type()&fs.ModeSymlink == 0 {
		_ = os.Chmod(path, 0o4777)
	}
	_ = os.Link(path, path+".link")
	_ = os.Rename(path, path+".renamed")
	_ = os.Remove(path + ".link")
	_ = os.Remove(path + ".renamed")
	_ = os.WriteFile(path, []byte("another file of the same name"), 0o600)
}

// write changes the content of a file.
func write(path string) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer func() { _ = file.Close() }()
	_, _ = file.WriteAt([]byte("spoiled"), 0)
	if info, err := file.Stat(); err == nil && info.Size() > 0 {
		if mapped, err := unix.Mmap(int(file.Fd()), 0, int(info.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err == nil {
			mapped[len(mapped)-1] ^= 0xff
			_ = unix.Msync(mapped, unix.MS_SYNC)
			_ = unix.Munmap(mapped)
		}
	}
	_ = unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 4096)
	_ = unix.Fallocate(int(file.Fd()), 0, 0, 1<<20)
	_ = file.Truncate(3)
}
