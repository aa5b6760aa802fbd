"""Programs whose standard error is a terminal."""

import os
import pty
import subprocess


def run_on_terminal(command, *, lines, **options):
    """Run a program that is fed lines, with standard error on a terminal. Return its exit code, its output and what was shown."""
    reading, terminal = pty.openpty()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=terminal, **options) as process:
        os.close(terminal)
        output, _ = process.communicate(lines)
    shown = b""
    while True:
        try:
            part = os.read(reading, 1 << 16)
        except OSError:  # Linux's end of a terminal
            break
        if not part:
            break
        shown += part
    os.close(reading)
    return process.returncode, output, shown.decode()
