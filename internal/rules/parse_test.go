package rules_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kind-local-registry/internal/rules"
)

func TestParse_ReportsEveryFault(t *testing.T) {
	t.Parallel()
	const keys = "use one of alwaysPull, images, loopGuard, namespaces, pods, prePush, restartOnRebuild"
	for document, want := range map[string][]string{
		"images:\n  exclude:\n  - a\n  - '['":          {`4: images.exclude "[": syntax error in pattern`},
		"images: {exclude: ['a:[']}":                   {`1: images.exclude "a:[": syntax error in pattern`},
		"images: {include: ['']}":                      {`1: images.include "": is empty`},
		"images: {include: ['*:dev']}":                 {`1: images.include "*:dev": * does not match a slash: write **/*:dev, or docker.io/library/*:dev`},
		"images: {include: ['quay.io/**-dev']}":        {`1: images.include "quay.io/**-dev": ** must be alone between two slashes`},
		"images: {include: [1.0]}":                     {`1: images.include has item "1.0", want a string: quote it`},
		"images: {include: [[a]]}":                     {`1: images.include has item a list, want a string: quote it`},
		"images: {include: a}":                         {`1: images.include is "a", want a list, such as [a, b]`},
		"images: [a]":                                  {`1: images is a list, want keys and values`},
		"[]":                                           {`1: the document is a list, want keys and values`},
		"namespaces: {exclude: ['{']}":                 {`1: namespaces.exclude "{": syntax error in pattern`},
		"pods: {exclude: ['a in b']}":                  {`1: pods.exclude "a in b": unable to parse requirement: found 'b' expected: '('`},
		"pods: {exclude: ['']}":                        {`1: pods.exclude "": is empty`},
		"pods: {include: []}":                          {`1: unknown key "pods.include": use one of exclude`},
		"image: {}":                                    {`1: unknown key "image": ` + keys},
		"[a]: b":                                       {`1: unknown key "": ` + keys},
		"images: {}\n\nimages: {}":                     {`3: duplicate key "images": keep one`},
		"alwaysPull: host":                             {`1: alwaysPull is "host", want Upstream or Host`},
		"restartOnRebuild: {images: {exclude: ['[']}}": {`1: restartOnRebuild.images.exclude "[": syntax error in pattern`},
		"prePush: perhaps":                             {`1: prePush is "perhaps", want true or false`},
		"alwaysPull: {}":                               {`1: alwaysPull is a mapping, want Upstream or Host`},
		"loopGuard: {recreations: -1, within: 5}":      {`1: loopGuard.recreations is "-1", want a whole number, 0 or more`, `1: loopGuard.within is "5", want a duration, such as 5m`},
		"loopGuard:\n  recreations: '5'\n  within: 0s": {`2: loopGuard.recreations is "5", want a whole number, 0 or more`, `3: loopGuard.within is "0s", want a duration, such as 5m`},
		"images: {}\n---\nimages: {}":                  {`2: a second document: put all rules into one document`},
		"images: {}\npods: {\xff}":                     {`2: not UTF-8: save the file as UTF-8`},
		"images: {}\npods: {}: {}":                     {`2: not YAML: mapping values are not allowed in this context`},
		"images: *a":                                   {`1: not YAML: unknown anchor 'a' referenced`},
	} {
		_, err := rules.Parse("rules.yaml", []byte(document))
		if err == nil {
			t.Errorf("Parse(%q): no error", document)
			continue
		}
		for i := range want {
			want[i] = "rules.yaml:" + want[i] + "; see docs/rules.md"
		}
		if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
			t.Errorf("Parse(%q): faults (-want +got):\n%s", document, diff)
		}
	}
}

func TestParse_FillsInDefaults(t *testing.T) {
	t.Parallel()
	defaults := rules.Default()
	noPods, fewer := defaults, defaults
	noPods.Pods.Exclude = nil
	fewer.AlwaysPull = rules.AlwaysPullHost
	fewer.LoopGuard = rules.LoopGuard{Recreations: 0, Within: metav1.Duration{Duration: 90 * time.Second}}
	for document, want := range map[string]rules.Rules{
		"":                            defaults,
		"# nothing\n":                 defaults,
		"---\n":                       defaults,
		"{}":                          defaults,
		"images:\npods:\n  exclude:":  defaults,
		"images: {include: []}":       defaults,
		"pods: {exclude: []}":         noPods,
		"loopGuard: {recreations: 5}": defaults,
		"alwaysPull: Host\nloopGuard: {recreations: 0, within: 90s}": fewer,
	} {
		if diff := cmp.Diff(want, parse(t, document)); diff != "" {
			t.Errorf("Parse(%q) (-want +got):\n%s", document, diff)
		}
	}
}
