"""What the processor of this host lacks for int8."""

import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
VNNI = ("avx512_vnni", "avx_vnni")
"""Flags of x86-64 processors that multiply int8 and add in 32 bits. Others add two products in 16 bits, which can overflow."""


def multiplies_int8_exactly(cpuinfo: Path = CPUINFO, machine: str = platform.machine()) -> bool:
    """Return whether the fast int8 products of this CPU are known to be exact: with VNNI, or on another processor than x86-64."""
    flags = _flags(cpuinfo)
    return not _is_x86_64(machine) or (flags is not None and bool(flags & set(VNNI)))


def saturates_int8(cpuinfo: Path = CPUINFO, machine: str = platform.machine()) -> bool:
    """Return whether the fast int8 products of this CPU can overflow: an x86-64 processor without VNNI.

    Where Linux does not list the processor's flags, the answer is no; the self-test of a bundle then finds wrong outputs.
    """
    flags = _flags(cpuinfo)
    return _is_x86_64(machine) and flags is not None and not flags & set(VNNI)


def _is_x86_64(machine: str) -> bool:
    return machine.lower() in ("x86_64", "amd64")


def _flags(cpuinfo: Path) -> set[str] | None:
    try:
        lines = cpuinfo.read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    return next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), None)
