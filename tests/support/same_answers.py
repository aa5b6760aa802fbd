"""fnet-run of C++ next to fnet-run of Python: the same JSON, the same exit codes."""

from click.testing import CliRunner
from fnet_runtime.command.cli import main


def python_run(*words, input=None):
    """Run the Python program in this process: it answers as if it were started, which would take a second."""
    done = CliRunner().invoke(main, [str(word) for word in words], input=input, prog_name="fnet-run", terminal_width=78)
    return done.exit_code, done.stdout_bytes, done.stderr_bytes


def assert_same_json(built, *words, **options):
    ours = built.run(*words, "--json", **options)
    assert (ours.returncode, ours.stdout) == python_run(*words, "--json", **options)[:2]
    return ours


def assert_same_code(built, *words, **options):
    """Both refuse before they print an answer."""
    ours = built.run(*words, **options)
    assert (ours.returncode, ours.stdout) == python_run(*words, **options)[:2]
    assert ours.stderr.startswith(b"error: ")
    return ours
