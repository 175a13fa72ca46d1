package rules

import "k8s.io/apimachinery/pkg/labels"

// podRules returns rules with the selectors, parsed for ExcludesPod.
func podRules(exclude ...string) PodRules {
	p := PodRules{Exclude: exclude, selectors: make(map[string]labels.Selector, len(exclude))}
	for _, selector := range exclude {
		if parsed, err := labels.Parse(selector); err == nil {
			p.selectors[selector] = parsed
		}
	}
	return p
}

// selects says whether a selector of the rules matches the labels; one that is none matches nothing.
func (p PodRules) selects(selector string, podLabels map[string]string) bool {
	parsed, kept := p.selectors[selector]
	if !kept {
		var err error
		if parsed, err = labels.Parse(selector); err != nil {
			return false
		}
	}
	return parsed.Matches(labels.Set(podLabels))
}

// checkSelector returns what is wrong with a label selector.
func checkSelector(selector string) error {
	parsed, err := labels.Parse(selector)
	if err != nil {
		return err
	}
	if parsed.Empty() {
		return errEmpty
	}
	return nil
}
