package link

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
)

// errBroken is the error for an image whose layers are broken.
var errBroken = errors.New("a push found that the content of the image's layers does not match their digests")

// broken is the set of layers that are never linked. It is safe for concurrent use.
type broken struct {
	file string // has one chainID per line

	mu     sync.Mutex
	chains []digest.Digest
}

// readBroken reads the layers from a file, which need not exist.
func readBroken(file string) (*broken, error) {
	content, err := os.ReadFile(file) // #nosec G304 -- the operator names the file
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading broken layers: %w", err)
	}
	b := &broken{file: file}
	for chain := range strings.FieldsSeq(string(content)) {
		b.chains = append(b.chains, digest.Digest(chain))
	}
	return b, nil
}

// any reports whether one of the layers is broken.
func (b *broken) any(chains []digest.Digest) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(chains, func(chain digest.Digest) bool { return slices.Contains(b.chains, chain) })
}

// add adds layers, and writes the file.
func (b *broken) add(chains []digest.Digest) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, chain := range chains {
		if !slices.Contains(b.chains, chain) {
			b.chains = append(b.chains, chain)
		}
	}
	var content strings.Builder
	for _, chain := range b.chains {
		fmt.Fprintln(&content, chain)
	}
	if err := os.WriteFile(b.file+".new", []byte(content.String()), 0o600); err != nil {
		return fmt.Errorf("writing broken layers: %w", err)
	}
	if err := os.Rename(b.file+".new", b.file); err != nil {
		return fmt.Errorf("writing broken layers: %w", err)
	}
	return nil
}

// Break makes sure that the layers with those diffIDs are never linked again. Unlink removes them from nodes.
func (l *Linker) Break(diffIDs []digest.Digest) error {
	return l.broken.add(identity.ChainIDs(slices.Clone(diffIDs))) // ChainIDs overwrites its argument
}
