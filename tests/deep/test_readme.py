"""Every command of the README runs, in the order it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

from support.paths import ROOT

README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"<!-- run( python)? -->\n((?:    .*\n|\n(?=    ))+)")


def test_the_commands_run(tmp_path):
    found = BLOCK.findall(README)
    assert [bool(python) for python, _ in found] == [False, False, True]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    shown = []
    for python, block in found:
        code = re.sub(r"^    ", "", block, flags=re.MULTILINE)
        command = [sys.executable, "-c", code] if python else ["bash", "-euc", code]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        shown.append(done.stdout)
    assert "passed  logits" in shown[1]
    assert re.fullmatch(r"spam 0\.\d+\n", shown[2])
    assert not (tmp_path / "words").exists()


def test_links_and_make_targets_exist():
    for target in re.findall(r"\]\(([^)]+)\)", README):
        file, _, heading = target.partition("#")
        assert (ROOT / file).exists(), target
        headings = re.findall(r"^#+ (.+)$", (ROOT / file).read_text(), re.MULTILINE) if heading else []
        assert not heading or heading in [title.lower().replace(" ", "-") for title in headings], target
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`?make (demo|test)`?", README):
        assert f"\n{target}:" in makefile, target
