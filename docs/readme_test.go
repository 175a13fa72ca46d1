package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// firstScreen lists what a newcomer reads in the README, in this order.
var firstScreen = []string{
	"# kind-local-registry",
	"| operating system |", "| Docker |", "| kind and node image |", "| Kubernetes |",
	"$ make demo", "demo: ok,", "$ make test",
	"## Run your own image",
	"## How it works", "## How fast it is", "## Debugging", "## Uninstall", "## Security", "## Develop",
}

func readme(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

func TestREADME_KeepsItsOrder(t *testing.T) {
	t.Parallel()
	rest := readme(t)
	for _, want := range firstScreen {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("README.md lacks %q, or has it too early", want)
		}
		rest = after
	}
	var headings []string
	for _, heading := range regexp.MustCompile(`(?m)^#.*$`).FindAllString(readme(t), -1) {
		if strings.HasPrefix(heading, "## ") && !slices.Contains(firstScreen, heading) {
			headings = append(headings, heading)
		}
	}
	if len(headings) > 0 {
		t.Errorf("README.md has other headings: %q", headings)
	}
}

func TestREADME_BeginsWithThreeSentences(t *testing.T) {
	t.Parallel()
	_, text, _ := strings.Cut(readme(t), "\n\n")
	text, _, _ = strings.Cut(text, "\n\n")
	if sentences := len(regexp.MustCompile(`\.(\s|$)`).FindAllString(text, -1)); sentences != 3 {
		t.Errorf("README.md begins with %d sentences, want 3: %s", sentences, text)
	}
}

func TestREADME_SaysThatACreatedClusterIsDeleted(t *testing.T) {
	t.Parallel()
	_, uninstall, _ := strings.Cut(readme(t), "## Uninstall")
	if !regexp.MustCompile("cluster that `setup up` created is deleted").MatchString(uninstall) {
		t.Error("README.md does not say that setup down deletes a cluster which setup up created")
	}
}

// cmd/setup tests the arguments of bin/setup.
func TestREADME_NamesCommandsThatExist(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	page := readme(t)
	commands := regexp.MustCompile("(?m)^\\$ (?:[A-Z_]+=\\S+ )*(\\S+) ?(\\S*)|`((?:make|hack/|bin/|\\.ci/)[^\\s`]*) ?([^ `]*)[^`]*`").FindAllStringSubmatch(page, -1)
	if len(commands) < 10 {
		t.Fatalf("README.md has %d commands, want more", len(commands))
	}
	for _, command := range commands {
		program, argument := command[1]+command[3], command[2]+command[4]
		switch program {
		case "make":
			if !strings.Contains(string(makefile), "\n"+argument+": ##") {
				t.Errorf("README.md has %q, and the Makefile no such target", "make "+argument)
			}
		case "bin/setup", "docker", "go", "kubectl":
		default:
			if _, err := os.Stat(filepath.Join("..", program)); err != nil {
				t.Errorf("README.md has the command %q: %v", program, err)
			}
		}
	}
}

func TestREADME_LinksToFilesThatExist(t *testing.T) {
	t.Parallel()
	for _, link := range regexp.MustCompile(`\]\(([^)#]+)`).FindAllStringSubmatch(readme(t), -1) {
		if strings.HasPrefix(link[1], "https://") {
			continue
		}
		if _, err := os.Stat(filepath.Join("..", link[1])); err != nil {
			t.Errorf("README.md links to %s: %v", link[1], err)
		}
	}
}
