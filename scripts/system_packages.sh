#!/usr/bin/env bash
# Installs what the tests need from the system (Debian 12, Ubuntu 22.04 or newer). As root, or where sudo asks for no password, it calls
# apt-get; elsewhere it prints the line to run. It never fails: a tier that lacks a package says so at the end of the tests.
# Usage: scripts/system_packages.sh [all]   (all: also what cross-builds and emulates aarch64)
set -uo pipefail

packages=(catch2 ccache chromium clang clang-format clang-tidy cmake g++ libcli11-dev libsentencepiece-dev libssl-dev ninja-build
    nlohmann-json3-dev pkg-config python3-venv)
[ "${1:-}" != all ] || packages+=(g++-aarch64-linux-gnu qemu-user)

command -v dpkg-query >/dev/null || { echo "$0: needs apt; install ${packages[*]} as this system does" >&2; exit 0; }
missing=()
for package in "${packages[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
# clang alone may lack what it links sanitizers with: a package of its own in Debian and newer Ubuntu
[ -f "$(clang -print-runtime-dir 2>/dev/null)/libclang_rt.asan-$(uname -m).a" ] || missing+=(libclang-rt-dev)
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! sudo -n true 2>/dev/null; then
        echo "The tests need packages of the system. Run: sudo apt-get install -y --no-install-recommends ${missing[*]}" >&2
        exit 0
    fi
    as_root=(sudo -n)
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >>"$log" 2>&1; }

echo "Installing packages of the system: ${missing[*]}" >&2
"${as_root[@]}" apt-get update -qq >>"$log" 2>&1
install "${missing[@]}" && exit 0
failed=() # one that this release lacks must not stop the others
for package in "${missing[@]}"; do install "$package" || failed+=("$package"); done
[ ${#failed[@]} -eq 0 ] || { tail -n 5 "$log" >&2; echo "apt-get cannot install ${failed[*]}" >&2; }
exit 0
