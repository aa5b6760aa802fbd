#!/usr/bin/env bash
# Downloads the wheels of benchmarks/on_gpu/wheels.txt and cuts them into parts, in folders of at most 45 MB: DIR/1, DIR/2, ...
# DIR/1 also holds SHA256SUMS, the hash of every whole wheel. `benchmarks/gpu.py --wheels` joins the parts again.
# Usage: scripts/gpu_wheels.sh DIR
set -euo pipefail

[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
[ ! -e "$1" ] || { echo "$0: $1 exists; name a folder that does not exist" >&2; exit 1; }
part_bytes=45000000
pins=$(cd "$(dirname "$0")/.." && pwd)/benchmarks/on_gpu/wheels.txt
mkdir -p "$(dirname "$1")"
target=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
work=$(mktemp -d "$target.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/wheels" "$work/parts" "$work/calls"

while read -r pin; do
    case $pin in
    '' | '#'*) ;;
    tensorrt-rtx-cu13==*) # a source package of Python files alone
        python3 -m pip wheel --quiet --no-deps --wheel-dir "$work/wheels" "$pin" ;;
    *)
        python3 -m pip download --quiet --no-deps --dest "$work/wheels" --only-binary=:all: --python-version 3.12 \
            --implementation cp --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 "$pin" ;;
    esac
done <"$pins"

cd "$work/wheels"
sha256sum -- *.whl >"$work/SHA256SUMS"
for wheel in *.whl; do
    split --bytes=$part_bytes --numeric-suffixes --suffix-length=2 "$wheel" "$work/parts/$wheel.part"
done

cd "$work/parts"
call=1 filled=$(stat -c %s "$work/SHA256SUMS")
mkdir "$work/calls/1"
mv "$work/SHA256SUMS" "$work/calls/1"
for part in $(ls -S); do # the largest first
    size=$(stat -c %s "$part")
    if [ $((filled + size)) -gt $((part_bytes + 100000)) ]; then
        call=$((call + 1)) filled=0
        mkdir "$work/calls/$call"
    fi
    mv "$part" "$work/calls/$call"
    filled=$((filled + size))
done
mv "$work/calls" "$target"
echo "$target: $call folders of at most 45 MB; copy all of them to one folder of the GPU machine"
