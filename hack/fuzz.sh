#!/usr/bin/env bash
# Runs every fuzz target for a while, one after the other: hack/fuzz.sh [TIME], for example hack/fuzz.sh 10m. Interesting inputs stay in
# Go's build cache. A failing input is written below testdata/fuzz: commit it with the fix.
set -o errexit -o nounset -o pipefail
cd "$(dirname "$0")/.."

time=${1:-30s}
grep --recursive --only-matching --include='*_test.go' '^func Fuzz[A-Za-z]*' . | sort |
  while IFS=: read -r file target; do
    target=${target#func }
    printf '%s in %s, %s\n' "$target" "$(dirname "$file")" "$time"
    go test "$(dirname "$file")" -run '^$' -fuzz "^$target\$" -fuzztime "$time" | tail -n 3
  done
