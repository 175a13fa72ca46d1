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

// among returns the layers that are broken.
func (b *broken) among(chains []digest.Digest) (found []digest.Digest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, chain := range chains {
		if slices.Contains(b.chains, chain) {
			found = append(found, chain)
		}
	}
	return found
}

// add adds a layer, and writes the file.
func (b *broken) add(added digest.Digest) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if slices.Contains(b.chains, added) {
		return nil
	}
	b.chains = append(b.chains, added)
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

// Break makes sure that the last of the layers with those diffIDs is never linked again on top of the others. The others can still
// be linked. Unlink removes the layer from nodes.
func (l *Linker) Break(diffIDs []digest.Digest) error {
	return l.broken.add(identity.ChainID(diffIDs))
}
