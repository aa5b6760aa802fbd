"""Make a folder once for all workers of a run of tests."""

import fcntl


def once(folder, make):
    """Return a folder, which `make` fills unless another worker has. Tests that change what is in it copy it first."""
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder.with_name(f"{folder.name}.done")
        if not done.exists():
            make(folder)
            done.touch()
    return folder
