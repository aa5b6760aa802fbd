"""The exit codes of fnet-run and fnet-export, and what each code means."""

import signal
from collections.abc import Mapping

OK, BAD_INPUT, USAGE, CHECK_FAILED, ENGINE_FAILED = range(5)
INTERRUPTED = 128 + signal.SIGINT
"""The code that a shell reports for a program that Ctrl-C ended."""
READER_LEFT = 128 + 13
"""The code that a shell reports for a program that SIGPIPE ended."""

MEANINGS = {
    OK: "ok",
    BAD_INPUT: "bad input, such as a file that is missing or damaged",
    USAGE: "wrong options",
    CHECK_FAILED: "a check failed",
    ENGINE_FAILED: "an engine cannot be built, opened or run, or memory ran out",
    INTERRUPTED: "interrupted by Ctrl-C",
    READER_LEFT: "the reader of standard output left",
}
"""By code, in the words that all programs share."""


def exit_codes(overrides: Mapping[int, str]) -> dict[int, str]:
    """Return the meaning of each code of a program. `overrides` has the meanings that are more precise there.

    A program that checks nothing has no CHECK_FAILED, so that one is left out unless `overrides` has it.
    """
    return {code: overrides.get(code, meaning) for code, meaning in MEANINGS.items() if code != CHECK_FAILED or code in overrides}


def list_of_exit_codes(overrides: Mapping[int, str]) -> str:
    """Return the codes of a program as the last paragraph of its --help, which click does not wrap."""
    return "\n".join(["\b", "Exit codes:", *(f"{code:>5}  {meaning}" for code, meaning in exit_codes(overrides).items())])
