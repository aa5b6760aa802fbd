"""Measure the page in headless Chromium: sizes, times to open, and times for the built-in e-mails. Bundles take turns.

    python examples/browser/measure.py [--folder FOLDER] [--rounds N]

Run serve_page.py --build-only before. It needs the package playwright, and chromium on the PATH.
"""

import argparse
import shutil
import threading
from pathlib import Path
from statistics import median

from playwright.sync_api import Page, sync_playwright
from serve_page import BUILD, server_of_folder

from fnet_export.base.environment import environment_of_host
from fnet_export.texts.emails import emails

OPEN = """async (name) => {
    const [{ bundleFromAddress }, { Classifier }] = await Promise.all([import("/bundle.js"), import("/classifier.js")]);
    const begun = performance.now();
    const bundle = await bundleFromAddress(`bundles/${name}`);
    const read = performance.now();
    window.opened = await Classifier.open(bundle);
    return { bytes: bundle.bytes, read: read - begun, start: performance.now() - read };
}"""
ASK = """async (texts) => {
    const times = [];
    for (const text of texts) {
        times.push((await window.opened.classify(text)).times);
    }
    await window.opened.close();
    return times;
}"""


def round_of(page: Page, address: str, name: str) -> dict[str, float]:
    """Open a bundle in a page that was loaded again, and ask it about every e-mail; return medians in milliseconds."""
    page.goto(address)
    page.wait_for_function("!document.getElementById('bundle').disabled", timeout=0)
    opened = page.evaluate(OPEN, name)
    times = page.evaluate(ASK, list(emails()))
    return {**opened, **{part: median(time[part] for time in times) for part in ("tokenizer", "model")}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=BUILD, help="as for serve_page.py (default: build/browser)")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    server = server_of_folder(options.folder / "site", "127.0.0.1", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(0)
        page.goto(address)
        page.wait_for_function("!document.getElementById('bundle').disabled")
        names = page.evaluate("[...document.getElementById('bundle').options].map((option) => option.value)")
        rounds = [{name: round_of(page, address, name) for name in names} for _ in range(options.rounds)]
        host = environment_of_host().host
        print(f"Chromium {browser.version}, {host.cores} CPUs ({host.cpu}), {options.rounds} rounds\n")
        browser.close()
    print("| bundle | size, MB | read and check, ms | start, ms | tokenizer, ms | model, ms |\n|---|---:|---:|---:|---:|---:|")
    for name in names:
        size, *times = (median(one[name][key] for one in rounds) for key in ("bytes", "read", "start", "tokenizer", "model"))
        print(f"| {name} | {size / 1e6:.1f} | " + " | ".join(f"{time:.1f}" for time in times) + " |")


if __name__ == "__main__":
    main()
