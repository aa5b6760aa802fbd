"""A picture of a parity report's page: `python docs/screenshot.py PARITY.json OUTPUT.png [WIDTH]`.

docs/parity.png is that of the built-in model for OpenVINO in bf16, exported on two AVX-512 cores.
"""

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

WIDTH = 1200


def main(source: str, output: str, width: str = str(WIDTH)) -> None:
    """Render the page of a parity.json in headless Chromium and keep all of it as a picture."""
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        write_evidence(Path(scratch), json.loads(Path(source).read_text("utf-8")))
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": int(width), "height": 800})
        page.goto((Path(scratch) / PARITY_PAGE).as_uri())
        shot = page.screenshot(full_page=True)
        browser.close()
    Image.open(io.BytesIO(shot)).convert("RGB").quantize().save(output, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
