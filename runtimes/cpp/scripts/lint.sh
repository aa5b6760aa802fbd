#!/usr/bin/env bash
# Checks the C++ sources: clang-format for every file; clang-tidy for files with uncommitted changes, or with --all for every file.
# A tool that cannot run is named in one line; the other one still runs.
# Usage: runtimes/cpp/scripts/lint.sh [--all]
set -euo pipefail
cd "$(dirname "$0")/.."

files() { # of git, with changes that are not added yet
    git ls-files --cached --others --exclude-standard -- '*.cpp' '*.h' '*.hpp' '*.c' | while read -r file; do
        [ ! -f "$file" ] || echo "$file"
    done
}

release=14 # of Debian 12: other releases of clang-format lay code out differently
found=$(clang-format --version 2>/dev/null | sed 's/.*version \([0-9]*\).*/\1/') || true
if [ "$found" = $release ]; then
    files | xargs clang-format --dry-run --Werror
else
    echo "clang-format: not run: expected release $release, found ${found:-nothing}; run apt-get install clang-format" >&2
fi

commands=build/default/compile_commands.json
if ! command -v clang-tidy >/dev/null; then
    echo "clang-tidy: not run: run apt-get install clang-tidy" >&2
    exit
elif [ ! -f $commands ]; then
    echo "clang-tidy: not run: $commands is missing; run make cpp" >&2
    exit
fi
if [ "${1:-}" = --all ]; then
    checked=$(files)
else
    checked=$(git diff --name-only --relative HEAD -- . && git ls-files --others --exclude-standard)
fi
# only what the build compiles: headers are checked with the files that include them
for file in $checked; do
    if [[ $file == *.cpp ]] && grep -qF "\"$PWD/$file\"" $commands; then echo "$file"; fi
done | xargs -r -n 1 -P "$(nproc)" clang-tidy --quiet -p build/default
