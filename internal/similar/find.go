package similar

import (
	"cmp"
	"slices"
	"strings"

	"kind-local-registry/internal/rewrite"
)

// Match is a name that resembles the wanted name.
type Match struct {
	// Name is the name.
	Name rewrite.Name
	// Typo reports whether the names differ only by a typing error, in repository, tag or both.
	Typo bool

	distance int // from the wanted name
}

// kind says how a name resembles the wanted name. A lower kind is more similar.
type kind int

const (
	typo           kind = iota // the names differ by a typing error
	sameRepository             // the tags differ
	typoRepository             // the repositories differ by a typing error, and the tags differ
	sameImage                  // the host or the namespace of the repositories differs; the last component and the tag are the same
	unrelated
)

// Find returns the names that resemble the wanted name in the same way: by a typing error if there are such names, or else by the next
// kind that there are names of. The most similar name is first. The wanted name itself is not among them.
func Find(wanted rewrite.Name, among []rewrite.Name) []Match {
	repository, tag := wanted.FamiliarRepository(), wanted.Tag()
	best, matches := unrelated, []Match(nil)
	for _, name := range among {
		found := compare(repository, tag, name.FamiliarRepository(), name.Tag())
		if found > best || found == unrelated {
			continue
		}
		if found < best {
			best, matches = found, nil
		}
		matches = append(matches, Match{Name: name, Typo: found == typo, distance: distance(wanted.Familiar(), name.Familiar())})
	}
	slices.SortFunc(matches, func(a, b Match) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.Name.Familiar(), b.Name.Familiar()))
	})
	return matches
}

// compare returns how the other reference resembles the wanted one.
func compare(repository, tag, otherRepository, otherTag string) kind {
	sameTag := tag == otherTag
	switch {
	case repository == otherRepository && sameTag:
		return unrelated // it is the wanted name itself
	case isTypo(repository+":"+tag, otherRepository+":"+otherTag):
		return typo
	case repository == otherRepository:
		return sameRepository
	case isTypo(repository, otherRepository):
		return typoRepository
	case sameTag && last(repository) == last(otherRepository):
		return sameImage
	}
	return unrelated
}

// last returns the last component of a repository.
func last(repository string) string { return repository[strings.LastIndexByte(repository, '/')+1:] }
