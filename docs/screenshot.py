"""Make docs/parity.png and docs/parity-top.png, pictures of a parity page: `python docs/screenshot.py PARITY.json`."""

import io
import json
import shutil
import sys
import tempfile
from pathlib import Path

from fnet_runtime.bundle.manifest import PARITY_PAGE
from PIL import Image
from playwright.sync_api import sync_playwright

from fnet_export.parity.report.files import write_evidence

DOCS = Path(__file__).parent
WIDTH, TOP = 1200, 760
"""Pixels: the width of the window, and the height of the part that the README shows."""


def main(source: str) -> None:
    """Render the page of a parity.json in headless Chromium, and keep all of it, and its top."""
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        write_evidence(Path(scratch), json.loads(Path(source).read_text("utf-8")))
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": TOP})
        page.goto((Path(scratch) / PARITY_PAGE).as_uri())
        for name, whole in (("parity.png", True), ("parity-top.png", False)):
            picture = Image.open(io.BytesIO(page.screenshot(full_page=whole)))
            picture.convert("RGB").quantize().save(DOCS / name, optimize=True)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
