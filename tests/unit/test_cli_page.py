"""Compares docs/cli.md with the parsers of the programs."""

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_up_to_date():
    expected = runpy.run_path(str(DOCS / "cli.py"))["page"]()
    assert (DOCS / "cli.md").read_text("utf-8") == expected, "docs/cli.md is out of date; run `python docs/cli.py`"
