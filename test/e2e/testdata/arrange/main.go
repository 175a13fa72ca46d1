// Command arrange is a step of an image build. It makes or changes files below /data, in ways that only a running container can.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	steps := map[string]func() error{"create": create, "change": change, "restore": restore}
	if err := steps[os.Args[1]](); err != nil {
		fmt.Fprintln(os.Stderr, "arrange:", err)
		os.Exit(1)
	}
}

// create makes files of every kind.
func create() error {
	var errs []error
	for _, directory := range []string{"removed/deep", "opaque/deep", "file-and-back", "mode", "empty"} {
		errs = append(errs, os.MkdirAll("/data/"+directory, 0o755), os.WriteFile("/data/"+directory+"/file", []byte(directory), 0o600))
	}
	for _, name := range []string{"a", "mode-only", "owner-only", "time-only", "attribute-only", "appended", "removed-file"} {
		errs = append(errs, os.WriteFile("/data/"+name, []byte(strings.Repeat(name, 1000)), 0o640))
	}
	errs = append(errs,
		os.Remove("/data/empty/file"), os.Link("/data/a", "/data/b"), os.Link("/data/a", "/data/mode/a"), os.Symlink("../a", "/data/mode/symbolic"),
		unix.Mkfifo("/data/fifo", 0o622), unix.Mknod("/data/socket", unix.S_IFSOCK|0o700, 0), unix.Mknod("/data/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))),
		os.WriteFile("/data/sparse", []byte("start"), 0o600), os.Truncate("/data/sparse", 1<<20))
	return errors.Join(errs...)
}

// change changes what create made, in an upper layer.
func change() error {
	appended, err := os.OpenFile("/data/appended", os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = appended.WriteString("more")
	past := time.Date(2001, 2, 3, 4, 5, 6, 7, time.UTC)
	return errors.Join(err, appended.Close(),
		os.RemoveAll("/data/removed"), os.Remove("/data/removed-file"), os.Remove("/data/null"),
		os.RemoveAll("/data/opaque"), os.Mkdir("/data/opaque", 0o711), os.WriteFile("/data/opaque/new", nil, 0o600),
		os.RemoveAll("/data/file-and-back"), os.WriteFile("/data/file-and-back", []byte("file"), 0o600),
		os.Chmod("/data/mode", 0o1770), os.Chmod("/data/mode-only", 0o4755), os.Chown("/data/owner-only", 7, 8),
		os.Chtimes("/data/time-only", past, past), unix.Setxattr("/data/attribute-only", "user.note", []byte("kept"), 0),
		os.Link("/data/a", "/data/c"), // a and b are one file, but b is only in the lower layer
		os.Rename("/data/sparse", "/data/moved"), os.Chmod("/", 0o711))
}

// restore changes back what change replaced.
func restore() error {
	return errors.Join(os.Remove("/data/file-and-back"), os.Mkdir("/data/file-and-back", 0o700),
		os.WriteFile("/data/file-and-back/new", []byte("new"), 0o600), os.Mkdir("/data/removed", 0o755), os.Remove("/data/b"))
}
