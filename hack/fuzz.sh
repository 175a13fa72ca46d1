#!/usr/bin/env bash
# Runs all fuzz targets, one after another, each for TIME (default 30s): hack/fuzz.sh [TIME], for example hack/fuzz.sh 10m. Go keeps
# interesting inputs in its build cache. Go writes a failing input to a file below testdata/fuzz: commit that file with the fix.
set -o errexit -o nounset -o pipefail
cd "$(dirname "$0")/.."

time=${1:-30s}
output=$(mktemp)
trap 'rm --force "$output"' EXIT

# ended_by_its_deadline is true where Go reports the end of TIME itself as a failure, without any failing input. Go before 1.27 does so
# now and then: https://go.dev/issue/75804.
ended_by_its_deadline() {
  grep --quiet '^ *context deadline exceeded$' "$output" && ! grep --quiet 'Failing input written' "$output"
}

# By default, Go minimizes each interesting input for up to a minute, which takes all of TIME if a target starts goroutines.
grep --recursive --only-matching --include='*_test.go' '^func Fuzz[A-Za-z]*' . | sort |
  while IFS=: read -r file target; do
    target=${target#func }
    printf '%s in %s, %s\n' "$target" "$(dirname "$file")" "$time"
    if go test "$(dirname "$file")" -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 10x > "$output" 2>&1 || ended_by_its_deadline; then
      tail -n 3 "$output"
    else
      cat "$output"
      exit 1
    fi
  done
