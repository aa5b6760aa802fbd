"""Wheels that travelled in parts: joined, checked, unpacked and put on the path."""

import hashlib
import sys
import zipfile

from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

SUMS = "SHA256SUMS"


def unpacked_wheels(parts, site):
    """Unpack every wheel that SHA256SUMS lists into the folder `site`; return what became of each: "joined", or the reason why not.

    The parts of a wheel are named `WHEEL.part00`, `WHEEL.part01` and so on, in `parts` or in folders below it.
    """
    sums = next(iter(sorted(parts.rglob(SUMS))), None)
    if sums is None:
        return {SUMS: f"{parts} has no {SUMS}; run scripts/gpu_wheels.sh and copy all of its folders"}
    wheels = {}
    for line in sums.read_text().splitlines():
        digest, name = line.split()
        data = b"".join(part.read_bytes() for part in sorted(parts.rglob(f"{name}.part*"), key=lambda path: path.name))
        found = hashlib.sha256(data).hexdigest()
        if found != digest:
            wheels[name] = "no part of it is there" if not data else f"a part is missing or damaged: sha256 {found}, not {digest}"
            continue
        if not parse_wheel_filename(name)[3].intersection(sys_tags()):
            wheels[name] = f"this Python, {sys.version.split()[0]}, cannot take it"
            continue
        whole = site / name
        whole.write_bytes(data)
        with zipfile.ZipFile(whole) as wheel:
            wheel.extractall(site)
        whole.unlink()
        wheels[name] = "joined"
    return wheels


def put_first(site):
    """Put the folder of unpacked wheels before what is installed."""
    sys.path.insert(0, str(site))
