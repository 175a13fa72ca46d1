package similar

import "testing"

func TestDistance_CountsTypingErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"hello", "hello", 0},
		{"", "abc", 3},
		{"helo", "hello", 1},
		{"hallo", "hello", 1},
		{"hlelo", "hello", 1},
		{"ehlol", "hello", 2},
		{"kitten", "sitting", 3},
		{"ca", "abc", 3}, // 2 with the unrestricted distance
	} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
		if got := distance(tt.b, tt.a); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.b, tt.a, got, tt.want)
		}
	}
}
