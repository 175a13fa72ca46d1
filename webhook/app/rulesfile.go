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

// rulesInterval is how often the file is read. It is not watched: it is small, and the kubelet updates a ConfigMap volume
// within about a minute, by swapping symbolic links.
const rulesInterval = 5 * time.Second

// RulesFile holds the rules of a file that may change. It is safe for concurrent use.
type RulesFile struct {
	path    string
	log     logr.Logger
	current atomic.Pointer[rules.Rules]
	seen    string // the content that was parsed last, or the error; only reload uses it
}

// OpenRules reads the rules of the file at path, or returns rules.Default if path is "". It fails if the file cannot be read or
// has invalid rules, with every fault of them.
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

// newRulesFile returns the file at path with initial rules, which hold until it is read.
func newRulesFile(path string, initial rules.Rules, log logr.Logger) *RulesFile {
	file := &RulesFile{path: path, log: log}
	file.current.Store(&initial)
	return file
}

// Current returns the current rules.
func (f *RulesFile) Current() rules.Rules { return *f.current.Load() }

// Start reads the file repeatedly until ctx ends. It implements manager.Runnable.
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

// NeedLeaderElection implements manager.LeaderElectionRunnable: every replica reads its own file.
func (*RulesFile) NeedLeaderElection() bool { return false }

// reload adopts valid rules that are new. It logs invalid rules, and a file that cannot be read, once and keeps the current
// rules.
func (f *RulesFile) reload() {
	found, content, err := f.read()
	if content == f.seen {
		return
	}
	f.seen = content
	if err != nil {
		f.log.Error(err, "rules rejected, the last valid ones stay")
		return
	}
	f.current.Store(&found)
	f.log.Info("rules changed")
}

// read returns the file's rules and its content, or why it cannot be read.
func (f *RulesFile) read() (found rules.Rules, content string, err error) {
	document, err := os.ReadFile(f.path)
	if err != nil {
		return rules.Rules{}, err.Error(), fmt.Errorf("reading rules: %w", err)
	}
	found, err = rules.Parse(f.path, document)
	return found, string(document), err
}
