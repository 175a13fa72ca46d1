package disk

import (
	"fmt"
	"strings"

	"github.com/docker/go-units"
)

// NoLimit is the text for a limit that does not exist.
const NoLimit = "off"

// ParseLimit parses a limit such as 20GB or 20GiB and returns its number of bytes. It returns 0, which means no limit, for off and
// for an empty text.
func ParseLimit(text string) (int64, error) {
	if text == "" || text == NoLimit {
		return 0, nil
	}
	size, err := ParseSize(text)
	if err == nil && size == 0 {
		err = fmt.Errorf("size %q is zero: to remove the limit, use %s", text, NoLimit)
	}
	return size, err
}

// ParseSize parses a size such as 20GB or 20GiB and returns its number of bytes.
func ParseSize(text string) (int64, error) {
	parse := units.FromHumanSize
	if strings.Contains(strings.ToLower(text), "i") { // KiB, MiB and so on are powers of 1024
		parse = units.RAMInBytes
	}
	size, err := parse(text)
	if err != nil || size < 0 {
		return 0, fmt.Errorf("size %q is invalid: use a number and a unit, such as 20GB or 500MiB", text)
	}
	return size, nil
}
