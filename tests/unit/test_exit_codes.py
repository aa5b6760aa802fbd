"""Compares the tables of exit codes in docs/ with the --help of the programs."""

import re
from pathlib import Path

import pytest
from fnet_runtime.command.cli import main as fnet_run

from fnet_export.commands.cli import COMMANDS
from fnet_export.commands.cli import main as fnet_export

DOCS = Path(__file__).parents[2] / "docs"
HEAD = "| exit code | meaning |\n|---|---|\n"
PAGES = {"export": "export", "choose": "choose", "eval": "evaluate", "verify": "verify", "bench": "bench", "bisect": "bisect"}
"""Commands of fnet-export with a table, and its page."""


def codes_of_help(epilog):
    """Return the codes and meanings that a list of --help has."""
    return re.findall(r"^ +(\d+)  (.+)$", epilog, flags=re.MULTILINE)


def codes_of_page(name):
    """Return the codes and meanings of the table of a page."""
    table = (DOCS / f"{name}.md").read_text("utf-8").split(HEAD)[1].split("\n\n")[0]
    return re.findall(r"^\| (\d+) \| (.+) \|$", table, flags=re.MULTILINE)


def test_every_page_with_a_table_is_compared():
    pages = {path.stem for path in DOCS.glob("*.md") if HEAD in path.read_text("utf-8")}
    assert pages == {*PAGES.values(), "run", "cpp"}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands(command):
    codes = codes_of_help(fnet_export.get_command(None, command).epilog)
    assert [code for code, _ in codes if code != "3"] == ["0", "1", "2", "4", "130", "141"]
    if command in PAGES:
        assert codes_of_page(PAGES[command]) == codes


@pytest.mark.parametrize("page", ["run", "cpp"])
def test_fnet_run(page):
    assert codes_of_page(page) == codes_of_help(fnet_run.epilog)
