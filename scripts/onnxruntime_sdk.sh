#!/usr/bin/env bash
# Assembles an ONNX Runtime SDK (include/, lib/) in DIR from the registries' packages: headers of the Unity package on npm, the
# library of the wheel on PyPI. Both are pinned by hash. Needs python3 with pip (PYTHON names another) and tar; uses npm where it is there.
# Usage: scripts/onnxruntime_sdk.sh DIR [x86_64|aarch64]
set -euo pipefail

[ $# -eq 1 ] || [ $# -eq 2 ] || { echo "usage: $0 DIR [x86_64|aarch64]" >&2; exit 2; }
version=1.32.0
headers=com.github.asus4.onnxruntime-0.4.9
headers_sha256=e59788788818fdde1b2e522e766a21ba0f7d8391de55737abf81e32cc801785d
machine=${2:-$(uname -m)}
case $machine in
x86_64) wheel_sha256=5a34fc4dfeb5a7b4a74c95dcba1e773d722abda720b474edf1b0c419dc6d163d ;;
aarch64) wheel_sha256=2303372a85299b6757b0e11e1cbf13e410ddf7e10c37f4b37e99d1c90e7daf7c ;;
*) echo "$0: expected x86_64 or aarch64, found $machine; install ONNX Runtime yourself and set ONNXRUNTIME_ROOT" >&2; exit 1 ;;
esac

target=$1 python=${PYTHON:-python3}
[ ! -e "$target/lib/libonnxruntime.so.1" ] || exit 0
[ ! -e "$target" ] || { echo "$0: $target is there, but holds no ONNX Runtime SDK; name a folder that does not exist" >&2; exit 1; }
mkdir -p "$(dirname "$target")"
work=$(mktemp -d "$target.XXXXXX")
trap 'rm -rf "$work"' EXIT
name=${headers%-*}
if command -v npm >/dev/null; then
    (cd "$work" && npm pack --silent "$name@${headers##*-}" >/dev/null)
else
    "$python" -c 'import sys, urllib.request; urllib.request.urlretrieve(*sys.argv[1:])' \
        "https://registry.npmjs.org/$name/-/$headers.tgz" "$work/$headers.tgz"
fi
"$python" -m pip download --quiet --no-deps --dest "$work" --only-binary=:all: --python-version 3.11 --implementation cp \
    --platform "manylinux_2_28_$machine" "onnxruntime==$version"
wheel=$(echo "$work"/onnxruntime-*.whl)
echo "$headers_sha256  $work/$headers.tgz
$wheel_sha256  $wheel" | sha256sum --check --quiet
mkdir -p "$work/sdk/include" "$work/sdk/lib"
tar -xzf "$work/$headers.tgz" -C "$work/sdk/include" --strip-components=7 --wildcards \
    'package/Plugins/iOS~/onnxruntime.xcframework/ios-arm64/onnxruntime.framework/Headers/*.h'
"$python" -m zipfile -e "$wheel" "$work/wheel"
mv "$work/wheel/onnxruntime/capi/libonnxruntime.so.$version" "$work/sdk/lib"
ln -s "libonnxruntime.so.$version" "$work/sdk/lib/libonnxruntime.so.1"
ln -s libonnxruntime.so.1 "$work/sdk/lib/libonnxruntime.so"
mv "$work/sdk" "$target"
