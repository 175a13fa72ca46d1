package link

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// testPrefix is the prefix of the names of test files.
const testPrefix = ".kind-local-registry-"

// tester tests whether files can be linked. It removes the test files of an earlier process that was killed. Only one process
// may test links in a directory.
type tester struct{ prefix string } // the prefix of the process's own test files

func newTester() tester { return tester{testPrefix + rand.Text() + "-"} }

// testLink links a new file in one directory to another directory, and removes both.
func (t tester) testLink(from, to string) (err error) {
	if err := errors.Join(t.removeOthers(from), t.removeOthers(to)); err != nil {
		return fmt.Errorf("testing a link: %w", err)
	}
	name := t.prefix + rand.Text()
	source, target := filepath.Join(from, name), filepath.Join(to, name+"-link") // the two directories may be the same
	file, err := os.OpenFile(source, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)   // #nosec G304 -- in Docker's own directory
	if err != nil {
		return fmt.Errorf("testing a link: %w", err)
	}
	err = errors.Join(file.Close(), os.Link(source, target))
	_ = os.Remove(target)
	if removed := os.Remove(source); err == nil {
		err = removed
	}
	if err != nil {
		return fmt.Errorf("testing a link: %w", err)
	}
	return nil
}

// removeOthers removes the test files of other processes from a directory.
func (t tester) removeOthers(directory string) error {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), testPrefix) && !strings.HasPrefix(e.Name(), t.prefix) {
			if err := os.Remove(filepath.Join(directory, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
