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

// rulesInterval is the time between two looks at the file. It is read, not watched: it is small, and the kubelet brings a
// changed ConfigMap by swapping symbolic links, a minute or so later.
const rulesInterval = 5 * time.Second

// RulesFile holds the rules of a file that may change. Its methods may be called by several goroutines at once.
type RulesFile struct {
	path    string
	log     logr.Logger
	current atomic.Pointer[rules.Rules]
	seen    string // the content that was judged last, or why there was none; only reload uses it
}

// OpenRules reads the rules of the file at path; those of no file, "", are rules.Default for ever. It fails on a
// file that cannot be read and on rules that are bad, with every fault of them.
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

// newRulesFile returns the file at path, not read yet, with rules that hold until it is.
func newRulesFile(path string, initial rules.Rules, log logr.Logger) *RulesFile {
	file := &RulesFile{path: path, log: log}
	file.current.Store(&initial)
	return file
}

// Current returns the rules that hold now.
func (f *RulesFile) Current() rules.Rules { return *f.current.Load() }

// Start reads the file again and again until ctx ends. It implements manager.Runnable.
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

// NeedLeaderElection tells the manager that every replica reads its own file.
func (*RulesFile) NeedLeaderElection() bool { return false }

// reload takes over good rules that are new. Bad ones, and a file that cannot be read, are logged once, and the rules that
// hold stay.
func (f *RulesFile) reload() {
	found, content, err := f.read()
	if content == f.seen {
		return
	}
	f.seen = content
	if err != nil {
		f.log.Error(err, "rules not taken, the last good ones stay")
		return
	}
	f.current.Store(&found)
	f.log.Info("rules changed")
}

// read returns the file's rules, and what it holds, or why it could not be read.
func (f *RulesFile) read() (found rules.Rules, content string, err error) {
	document, err := os.ReadFile(f.path)
	if err != nil {
		return rules.Rules{}, err.Error(), fmt.Errorf("reading rules: %w", err)
	}
	found, err = rules.Parse(f.path, document)
	return found, string(document), err
}
