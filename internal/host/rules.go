package host

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/moby/moby/api/types/container"
	"sigs.k8s.io/yaml"

	"kind-local-registry/config"
	"kind-local-registry/internal/rules"
)

// readRules returns the document of the file with rules that the options name, or "" where they name none. It fails on
// rules that are bad.
func (o Options) readRules() (string, error) {
	if o.RulesFile == "" {
		return "", nil
	}
	document, err := os.ReadFile(o.RulesFile)
	if err != nil {
		return "", remedy(fmt.Errorf("reading the rules: %w", err), "name a readable file with --rules")
	}
	_, err = rules.Parse(o.RulesFile, document)
	return string(document), err
}

// ReadRules returns the rules of a file. It fails on a file that cannot be read, and with file and line on bad rules.
func ReadRules(file string) (rules.Rules, error) {
	document, err := Options{RulesFile: file}.readRules()
	if err != nil {
		return rules.Rules{}, err
	}
	return rules.Parse(file, []byte(document))
}

// keepRules takes over, where the user names none, the rules of the pusher that is there. They are kept as they were
// written, so that what they leave out has the default of this setup and not of an earlier one.
func (s *System) keepRules(ctx context.Context) error {
	if s.options.RulesFile != "" {
		return nil
	}
	found, err := s.find(ctx, config.PusherContainer)
	if err != nil || found == nil {
		return err
	}
	s.rules = variable(found, config.RulesVariable)
	return nil
}

// variable returns the value of a variable in a container's environment, or "" where it is not set.
func variable(c *container.InspectResponse, name string) string {
	if c.Config == nil {
		return ""
	}
	for _, entry := range c.Config.Env {
		if value, found := strings.CutPrefix(entry, name+"="); found {
			return value
		}
	}
	return ""
}

// rulesVariables returns the environment that gives a container the rules; none where they are the defaults.
func (s *System) rulesVariables() []string {
	if s.rules == "" {
		return nil
	}
	return []string{config.RulesVariable + "=" + s.rules}
}

// Rules returns the rules that the system has. It fails on kept rules that this setup does not take.
func (s *System) Rules() (rules.Rules, error) {
	kept, err := rules.Parse("rules of "+config.PusherContainer, []byte(s.rules))
	if err != nil {
		return rules.Rules{}, remedy(err, "give others with setup up --rules FILE")
	}
	return kept, nil
}

// rulesValues returns the rules in force as values for the chart.
func (s *System) rulesValues() (map[string]any, error) {
	inForce, err := s.Rules()
	if err != nil {
		return nil, err
	}
	var values map[string]any
	if err := yaml.Unmarshal([]byte(inForce.String()), &values); err != nil {
		return nil, fmt.Errorf("writing the rules as chart values: %w", err)
	}
	return values, nil
}
