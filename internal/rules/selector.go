package rules

import "k8s.io/apimachinery/pkg/labels"

// podRules returns PodRules with the given selectors and their parsed form.
func podRules(exclude ...string) PodRules {
	p := PodRules{Exclude: exclude, selectors: make(map[string]labels.Selector, len(exclude))}
	for _, selector := range exclude {
		if parsed, err := labels.Parse(selector); err == nil {
			p.selectors[selector] = parsed
		}
	}
	return p
}

// selects reports whether a selector matches the labels. An invalid selector matches nothing.
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

// checkSelector returns an error if a label selector is invalid or empty.
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
