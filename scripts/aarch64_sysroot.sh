#!/usr/bin/env bash
# Assembles in DIR what the C++ runtime needs to be built and emulated for aarch64: Debian's arm64 packages of libsentencepiece-dev, libssl-dev and
# of what they depend on, and the /proc/cpuinfo of a Cortex-A72, which ONNX Runtime reads. apt keeps its state in a folder of its own:
# the host gets no foreign architecture. Needs apt and dpkg, of the Debian release that the compiler is of; not root.
# Usage: scripts/aarch64_sysroot.sh DIR
set -euo pipefail

[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
target=$1
[ ! -e "$target/proc/cpuinfo" ] || exit 0
[ ! -e "$target" ] || { echo "$0: $target is there, but holds no sysroot; name a folder that does not exist" >&2; exit 1; }
mkdir -p "$(dirname "$target")"
work=$(mktemp -d "$(realpath -m "$target").XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/apt/{lists,archives}/partial "$work/sysroot/proc"
touch "$work/apt/status"
cat >"$work/apt.conf" <<end
APT { Architecture "arm64"; Architectures { "arm64"; }; Install-Recommends "false"; Sandbox::User ""; };
Dir { State "$work/apt"; State::status "$work/apt/status"; Cache "$work/apt"; };
Acquire::Languages "none";
end
export APT_CONFIG=$work/apt.conf
apt-get update -qq
apt-get install -qq --download-only libsentencepiece-dev libssl-dev >/dev/null
for package in "$work"/apt/archives/*.deb; do dpkg-deb -x "$package" "$work/sysroot"; done
for core in 0 1; do
    printf '%s\n' "processor	: $core" 'BogoMIPS	: 125.00' 'Features	: fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid' \
        'CPU implementer	: 0x41' 'CPU architecture: 8' 'CPU variant	: 0x0' 'CPU part	: 0xd08' 'CPU revision	: 3' ''
done >"$work/sysroot/proc/cpuinfo"
mv "$work/sysroot" "$target"
