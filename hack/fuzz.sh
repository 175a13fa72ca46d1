#!/usr/bin/env bash
# Runs every fuzz target for a while, one after the other: hack/fuzz.sh [TIME], as in hack/fuzz.sh 10m. What a target finds
# interesting stays in Go's build cache; what fails is written below testdata/fuzz, to be committed with the correction.
set -o errexit -o nounset -o pipefail
cd "$(dirname "$0")/.."

time=${1:-30s}
grep --recursive --only-matching --include='*_test.go' '^func Fuzz[A-Za-z]*' . | sort |
  while IFS=: read -r file target; do
    target=${target#func }
    printf '%s in %s, %s\n' "$target" "$(dirname "$file")" "$time"
    go test "$(dirname "$file")" -run '^$' -fuzz "^$target\$" -fuzztime "$time" | tail -n 3
  done
