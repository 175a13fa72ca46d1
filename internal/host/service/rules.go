package service

import (
	"fmt"
	"os"

	"sigs.k8s.io/yaml"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/step"
	"kind-local-registry/internal/rules"
)

// Rules are rules that the user chose. The zero Rules are no choice: the pusher keeps those that it has.
type Rules struct {
	document string
	chosen   bool
}

// ReadRules reads a rules file; "" is no choice. It fails on invalid rules.
func ReadRules(file string) (Rules, error) {
	if file == "" {
		return Rules{}, nil
	}
	document, err := os.ReadFile(file) // #nosec G304 -- the user names the file
	if err != nil {
		return Rules{}, step.Remedy(fmt.Errorf("reading the rules: %w", err), "name a readable file with --rules")
	}
	_, err = rules.Parse(file, document)
	return Rules{document: string(document), chosen: true}, err
}

// Parse returns the rules of the document.
func (r Rules) Parse() (rules.Rules, error) { return rules.Parse("rules", []byte(r.document)) }

// rulesEnv returns the environment that gives the pusher the rules, and nothing for the default rules. It has the user's document
// and not the parsed rules, so that rules which the document leaves out follow the defaults of each version of setup.
func (p *Pusher) rulesEnv() []string {
	if p.rules == "" {
		return nil
	}
	return []string{config.RulesVariable + "=" + p.rules}
}

// Rules returns the rules in force. It fails if this version of setup does not accept the rules that the pusher has.
func (p *Pusher) Rules() (rules.Rules, error) {
	kept, err := rules.Parse("rules of "+config.PusherContainer, []byte(p.rules))
	if err != nil {
		return rules.Rules{}, step.Remedy(err, "set valid rules with setup up --rules FILE")
	}
	return kept, nil
}

// RulesValues returns the rules in force as values for the chart.
func (p *Pusher) RulesValues() (map[string]any, error) {
	inForce, err := p.Rules()
	if err != nil {
		return nil, err
	}
	var values map[string]any
	if err := yaml.Unmarshal([]byte(inForce.String()), &values); err != nil {
		return nil, fmt.Errorf("writing the rules as chart values: %w", err)
	}
	return values, nil
}
