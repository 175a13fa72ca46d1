package service

import (
	"fmt"
	"os"

	"sigs.k8s.io/yaml"

	"kind-local-registry/config"
	"kind-local-registry/internal/host/step"
	"kind-local-registry/internal/rules"
)

// Rules are the rules that the user chose. The zero value means that the user chose none, so the pusher keeps its current rules.
type Rules struct {
	document string
	chosen   bool
}

// ReadRules reads a rules file. It returns the zero value if file is "", and an error if the rules are invalid.
func ReadRules(file string) (Rules, error) {
	if file == "" {
		return Rules{}, nil
	}
	document, err := os.ReadFile(file) // #nosec G304 -- the user chose the file
	if err != nil {
		return Rules{}, step.Remedy(fmt.Errorf("reading the rules: %w", err), "name a readable file with --rules")
	}
	_, err = rules.Parse(file, document)
	return Rules{document: string(document), chosen: true}, err
}

// Parse parses the rules document.
func (r Rules) Parse() (rules.Rules, error) { return rules.Parse("rules", []byte(r.document)) }

// rulesEnv returns the environment variable that passes the rules to the pusher, or nothing for the default rules. It contains
// the user's document, not the parsed rules. A rule that the document omits therefore has the default of the setup version in
// use.
func (p *Pusher) rulesEnv() []string {
	if p.rules == "" {
		return nil
	}
	return []string{config.RulesVariable + "=" + p.rules}
}

// Rules returns the rules in effect. It fails if this version of setup rejects the pusher's rules.
func (p *Pusher) Rules() (rules.Rules, error) {
	kept, err := rules.Parse("rules of "+config.PusherContainer, []byte(p.rules))
	if err != nil {
		return rules.Rules{}, step.Remedy(err, "set valid rules with setup up --rules FILE")
	}
	return kept, nil
}

// RulesValues returns the rules in effect as chart values.
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
