#!/usr/bin/env bash
# Builds presets of the C++ runtime before the tests run, with the ONNX Runtime SDK of each. Where the host lacks a tool or a library, it
# says which and goes on: the tests then report the tier as not run. A source that does not compile is an error.
# Usage: scripts/cpp_build.sh PRESET...   ONNXRUNTIME_ROOT, where set, is the SDK of all presets but aarch64.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$PWD/runtimes/cpp/build

lacks() { echo "The preset $preset is not built: $1. Run scripts/system_packages.sh all" >&2; }

for preset in "$@"; do
    tools=(cmake ninja g++) targets=()
    sdk=${ONNXRUNTIME_ROOT:-$build/onnxruntime}
    case $preset in
    asan) tools=(cmake ninja clang++) ;;
    aarch64) tools=(cmake ninja aarch64-linux-gnu-g++ qemu-aarch64)
        sdk=$build/onnxruntime-aarch64 targets=(--target fnet-run fnet_tokens) ;;
    esac
    missing=
    for tool in "${tools[@]}"; do command -v "$tool" >/dev/null || missing+=" $tool"; done
    [ -z "$missing" ] || { lacks "the host lacks$missing"; continue; }
    if [ "$preset" = aarch64 ]; then
        scripts/aarch64_sysroot.sh "$build/aarch64-sysroot" || { lacks "scripts/aarch64_sysroot.sh failed"; continue; }
        scripts/onnxruntime_sdk.sh "$sdk" aarch64 || { lacks "scripts/onnxruntime_sdk.sh failed"; continue; }
    elif [ ! -d "$sdk/include" ]; then
        scripts/onnxruntime_sdk.sh "$sdk" || { lacks "scripts/onnxruntime_sdk.sh failed"; continue; }
    fi
    mkdir -p "$build"
    log=$build/$preset.log
    touch "$build/$preset.started"
    if ! (cd runtimes/cpp && ONNXRUNTIME_ROOT=$sdk cmake --preset "$preset") >"$log" 2>&1; then
        grep -qi "could not find" "$log" || { cat "$log" >&2; exit 1; }
        rm -f "$build/$preset.built" # of an earlier configuration
        lacks "$(grep -im1 'could not find' "$log")"
        continue
    fi
    echo "Building $preset"
    (cd runtimes/cpp && cmake --build --preset "$preset" "${targets[@]}") >>"$log" 2>&1 || { cat "$log" >&2; exit 1; }
    mv "$build/$preset.started" "$build/$preset.built" # the tests compare its time with that of the sources
done
