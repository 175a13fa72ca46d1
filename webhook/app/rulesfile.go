package app

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"kind-local-registry/internal/rules"
)

// rulesInterval is how often the file is read. The file is read repeatedly instead of being watched, because it is small, and
// because the kubelet takes up to about a minute to update a ConfigMap volume. The kubelet does so by swapping symbolic links.
const rulesInterval = 5 * time.Second

// RulesFile provides the rules from a file that may change. It is safe for concurrent use.
type RulesFile struct {
	path    string
	log     logr.Logger
	current atomic.Pointer[rules.Rules]
	seen    string // the content that was read last, or the error; only reload uses it
}

// OpenRules reads the rules from the file at path. If path is "", the rules are rules.Default. It fails if the file cannot be
// read or if the rules are invalid. If they are invalid, the error lists every fault.
func OpenRules(path string, log logr.Logger) (*RulesFile, error) {
	file := newRulesFile(path, rules.Default(), log)
	if path == "" {
		return file, nil
	}
	found, content, err := file.read()
	if err != nil {
		return nil, err
	}
	file.seen = content
	file.current.Store(&found)
	return file, nil
}

// newRulesFile returns a RulesFile for path. The initial rules apply until the file is read.
func newRulesFile(path string, initial rules.Rules, log logr.Logger) *RulesFile {
	file := &RulesFile{path: path, log: log}
	file.current.Store(&initial)
	return file
}

// Current returns the current rules.
func (f *RulesFile) Current() rules.Rules { return *f.current.Load() }

// Start rereads the file regularly until ctx ends. It implements manager.Runnable.
func (f *RulesFile) Start(ctx context.Context) error {
	if f.path == "" {
		return nil
	}
	ticker := time.NewTicker(rulesInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			f.reload()
		}
	}
}

// NeedLeaderElection implements manager.LeaderElectionRunnable. It returns false because every replica reads its own file.
func (*RulesFile) NeedLeaderElection() bool { return false }

// reload reads the file again and applies its rules if they have changed. If the rules are invalid or the file cannot be read, it
// logs the error once and keeps the current rules.
func (f *RulesFile) reload() {
	found, content, err := f.read()
	if content == f.seen {
		return
	}
	f.seen = content
	if err != nil {
		f.log.Error(err, "rules rejected, keeping the last valid rules")
		return
	}
	f.current.Store(&found)
	f.log.Info("rules changed")
}

// read returns the file's rules and content. If the file cannot be read, the returned content is the error's text.
func (f *RulesFile) read() (found rules.Rules, content string, err error) {
	document, err := os.ReadFile(f.path)
	if err != nil {
		return rules.Rules{}, err.Error(), fmt.Errorf("reading rules: %w", err)
	}
	found, err = rules.Parse(f.path, document)
	return found, string(document), err
}
