#!/usr/bin/env bash
# Runs all fuzz targets, one after another, each for TIME (default 30s): hack/fuzz.sh [TIME], for example hack/fuzz.sh 10m. Go keeps
# interesting inputs in its build cache. Go writes a failing input to a file below testdata/fuzz: commit that file with the fix.
set -o errexit -o nounset -o pipefail
cd "$(dirname "$0")/.."

time=${1:-30s}
grep --recursive --only-matching --include='*_test.go' '^func Fuzz[A-Za-z]*' . | sort |
  while IFS=: read -r file target; do
    target=${target#func }
    printf '%s in %s, %s\n' "$target" "$(dirname "$file")" "$time"
    go test "$(dirname "$file")" -run '^$' -fuzz "^$target\$" -fuzztime "$time" | tail -n 3
  done
