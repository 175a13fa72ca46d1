package similar

import "strings"

const (
	// minWord is the number of letters from which a word may contain a typing error. Shorter words, such as arm and amd, or v, often
	// differ on purpose.
	minWord = 4
	// longWord is the number of letters from which a word may contain two typing errors.
	longWord = 9
	// maxErrors limits the typing errors in all words of a name.
	maxErrors = 2
)

// isTypo reports whether two different texts differ only by a typing error. Their digits must be the same, because versions differ on
// purpose. Only words of at least minWord letters may differ, in up to maxErrors letters. Apart from that, the texts may differ only
// in upper and lower case, or only in hyphens, underscores and dots between letters.
func isTypo(a, b string) bool {
	if a == b || distant(len(a), len(b)) {
		return false
	}
	a, b = strings.ToLower(a), strings.ToLower(b)
	return misspelt(a, b) || sameJoined(a, b)
}

// misspelt reports whether only words differ, by typing errors.
func misspelt(a, b string) bool {
	errors := 0
	for a != "" || b != "" {
		wordA, restA := word(a)
		wordB, restB := word(b)
		errors += wordErrors(wordA, wordB)
		otherA, afterA := other(restA)
		otherB, afterB := other(restB)
		if errors > maxErrors || otherA != otherB {
			return false
		}
		a, b = afterA, afterB
	}
	return true
}

// distant reports whether texts of these lengths differ by more than a typing error. Joined words may lack several separators.
func distant(a, b int) bool { return max(a, b)-min(a, b) > 2*maxErrors }

// wordErrors returns how many typing errors two words differ by. It returns more than maxErrors if they are different words.
func wordErrors(a, b string) int {
	if a == b {
		return 0
	}
	shorter, allowed := min(len(a), len(b)), 1
	if shorter >= longWord {
		allowed = maxErrors
	}
	if shorter < minWord || max(len(a), len(b))-shorter > allowed {
		return maxErrors + 1
	}
	if errors := distance(a, b); errors <= allowed {
		return errors
	}
	return maxErrors + 1
}

// word splits the text after its leading letters.
func word(text string) (letters, rest string) {
	rest = strings.TrimLeftFunc(text, isLetter)
	return text[:len(text)-len(rest)], rest
}

// other splits the text before its first letter.
func other(text string) (others, rest string) {
	rest = strings.TrimLeftFunc(text, func(char rune) bool { return !isLetter(char) })
	return text[:len(text)-len(rest)], rest
}

// sameJoined reports whether the texts are the same without the separators that join two words.
func sameJoined(a, b string) bool {
	for i, j := 0, 0; ; {
		switch {
		case joins(a, i):
			i++
		case joins(b, j):
			j++
		case i == len(a) || j == len(b):
			return i == len(a) && j == len(b)
		case a[i] != b[j]:
			return false
		default:
			i, j = i+1, j+1
		}
	}
}

// joins reports whether the byte at index i is a hyphen, an underscore or a dot between two letters.
func joins(text string, i int) bool {
	return i > 0 && i+1 < len(text) && strings.IndexByte("-_.", text[i]) >= 0 && isLetter(rune(text[i-1])) && isLetter(rune(text[i+1]))
}

// isLetter reports whether a character of a lower-case reference is a letter. A reference contains only ASCII.
func isLetter(char rune) bool { return 'a' <= char && char <= 'z' }
